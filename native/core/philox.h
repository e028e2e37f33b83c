#pragma once
#include <array>
#include <cstdint>

namespace nodecudnn {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). Element i of a
/// sequence is word i % 4 of block i / 4; a block depends on nothing but its counter and key, so any thread
/// of any device draws the same numbers.
struct Philox {
  uint64_t seed;
  uint64_t stream;

  constexpr std::array<uint32_t, 4> block(uint64_t offset) const {
    uint32_t c0 = static_cast<uint32_t>(offset), c1 = static_cast<uint32_t>(offset >> 32);
    uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
      const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
      const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c1 = static_cast<uint32_t>(p1);
      c3 = static_cast<uint32_t>(p0);
      c0 = n0;
      c2 = n2;
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    return {c0, c1, c2, c3};
  }
};

/// 24 random bits as a float in [0, 1).
constexpr float toUniform(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

}  // namespace nodecudnn
