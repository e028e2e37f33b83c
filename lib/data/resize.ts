/**
 * What resizes: lanczos3 is sharp's own; `linear` is a triangle as wide as a source's pixels, what PIL, and so
 * torchvision, calls (antialiased) bilinear. With it a JPEG is decoded whole, and becomes what its pixels in a PNG would;
 * with lanczos3 at a fraction of its size, which is faster.
 */
export const RESIZE_KERNELS = ['lanczos3', 'linear'] as const;
export type ResizeKernel = (typeof RESIZE_KERNELS)[number];
