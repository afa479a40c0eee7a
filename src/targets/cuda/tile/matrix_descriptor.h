// Matrix descriptors, which tell a warpgroup product where an operand is in shared memory (PTX ISA: wgmma,
// "Shared Memory Matrix Layout", "Canonical Layouts", "Matrix Descriptor"). Included after the functions of
// the chip.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

// The operand is a strip (swizzled_page.h): consecutive rows of `width` chunks of 16 bytes, where width is 1,
// 2, 4 or 8, from a row on that is a multiple of 8. Chunk c of row r is at place c ^ (r width / 8 % width) of
// the row. That is the hardware's swizzle of 16 width bytes: mode 1, 2 or 3 for a width of 8, 4 or 2 (bits 62
// and 63); one chunk has no swizzle, mode 0. Address, leading offset and stride offset are in units of 16
// bytes, at bits 0, 16 and 32.
//
// Keys are K-major: the elements of k lie along the rows, and a row is a column n of the product. The stride
// offset is the distance from 8 rows to the next 8, which is 8 width chunks. A step over 16 elements of k
// reads two chunks of each swizzled row; its address advances by 32 bytes a step, and the leading offset is
// ignored. Without a swizzle the two chunks of a step are blocks of 8 rows x 16 bytes, and the leading offset
// is the distance between them.
//
// Values are MN-major: the columns n of the product lie along the rows. A step over 16 elements of k reads 16
// rows, which are two groups of 8. With a swizzle the stride offset is the distance between these groups, 8
// width chunks; the leading offset is the distance to the next strip and is ignored if the product is one
// strip wide. Without a swizzle the two change roles: the leading offset is the distance between the groups,
// 8 chunks, and the stride offset would be the distance to the next 8 columns, which a product of 8 does not
// have.
QUIRE_DEV unsigned long long matrix_descriptor(const void* p, int width, int leading_bytes) {
  const unsigned long long mode = width == 8 ? 1 : width == 4 ? 2 : width == 2 ? 3 : 0;
  return (shared_address(p) & 0x3ffffu) >> 4 | static_cast<unsigned long long>(leading_bytes >> 4) << 16 |
         static_cast<unsigned long long>(8 * width) << 32 | mode << 62;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
