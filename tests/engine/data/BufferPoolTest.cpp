#include "engine/data/BufferPool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

namespace lockstep {
namespace {

TEST(BufferPool, LendsAgainWhatCameBack) {
  BufferPool pool;
  std::shared_ptr<std::byte> first = pool.take(100);
  const std::byte* memory = first.get();
  const std::shared_ptr<std::byte> second = pool.take(100);
  EXPECT_NE(second.get(), memory);
  first.reset();
  EXPECT_EQ(pool.take(50).get(), memory);
  EXPECT_EQ(pool.take(100).get(), memory);
}

TEST(BufferPool, GivesAsMuchAsIsAsked) {
  BufferPool pool;
  pool.take(8).reset();
  const std::shared_ptr<std::byte> large = pool.take(1 << 24);
  std::memset(large.get(), 1, 1 << 24);
  EXPECT_EQ(large.get()[(1 << 24) - 1], std::byte{1});
  EXPECT_NE(pool.take(0), nullptr);
}

// Inputs and targets of one size each, as evaluation after evaluation takes them: nothing is allocated again.
TEST(BufferPool, LendsTheSmallestThatWillDo) {
  int allocated = 0;
  BufferPool pool([&](std::size_t bytes) {
    ++allocated;
    return std::shared_ptr<std::byte>(new std::byte[bytes], std::default_delete<std::byte[]>());
  });
  for (int round = 0; round < 3; ++round) {
    std::vector<std::shared_ptr<std::byte>> lent;
    for (const std::size_t bytes : {1000, 10, 1000, 10, 900}) lent.push_back(pool.take(bytes));
    EXPECT_EQ(allocated, 5);
  }
  pool.take(2000);  // in place of the largest
  EXPECT_EQ(allocated, 6);
  std::vector<std::shared_ptr<std::byte>> lent;
  for (const std::size_t bytes : {2000, 10, 10, 900, 1000}) lent.push_back(pool.take(bytes));
  EXPECT_EQ(allocated, 6);
}

TEST(BufferPool, ItsBuffersOutliveIt) {
  std::shared_ptr<std::byte> buffer;
  {
    BufferPool pool;
    buffer = pool.take(64);
  }
  std::memset(buffer.get(), 1, 64);
  EXPECT_EQ(*buffer, std::byte{1});
}

}  // namespace
}  // namespace lockstep
