// Our kernels as loops.
#include "cuda/kernels.cu"
