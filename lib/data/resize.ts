/**
 * What resizes: lanczos3 is sharp's own; `linear` is a triangle as wide as a source's pixels, what PIL, and so
 * torchvision, calls (antialiased) bilinear.
 */
export const RESIZE_KERNELS = ['lanczos3', 'linear'] as const;
export type ResizeKernel = (typeof RESIZE_KERNELS)[number];
