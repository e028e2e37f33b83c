/** A folder of real photos, `train/<class>/*.jpg` and `val/<class>/*.jpg`, if there is one. */
export const PHOTOS = process.env.NODE_CUDNN_TEST_DATA;

/** Why tests that need them don't run, for their titles. */
export const PHOTOS_NEEDED =
  PHOTOS === undefined
    ? ' (skipped: NODE_CUDNN_TEST_DATA names no folder with train/<class> and val/<class>)'
    : '';
