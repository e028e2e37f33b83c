/**
 * Titles of tests of what AddressSanitizer changes: the allocator uses no block again (native/core/allocator.cc),
 * what is freed stays resident for a while, and Winograd's transforms, which are not inlined there, round otherwise.
 */
export const PASSED_OVER = [
  'is used again at once, in the order of the stream',
  'that is resident is flat over 2,000 small steps',
  'of 2 KiB a step would be seen',
  'of 2,000 models that were dropped without dispose() comes back by itself',
  'trains as well by Winograd as directly, over 200 steps',
];
