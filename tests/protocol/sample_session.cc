#include "tests/protocol/sample.h"

namespace memfuse::protocol {

std::vector<Sample> SessionSamples() {
  std::vector<Sample> samples;

  fuse_forget_in forget{};
  forget.nlookup = 0x5152535455565758;
  samples.push_back(MakeSample<ForgetRequest>("Forget", FUSE_FORGET, BytesOf(forget), "",
                                              [](const ForgetRequest& request) {
                                                EXPECT_EQ(ToInt(request.ino), kNode);
                                                EXPECT_EQ(request.count, 0x5152535455565758u);
                                              }));

  fuse_batch_forget_in batch{};
  batch.count = 3;
  batch.dummy = 0xffffffff;
  std::string entries;
  for (uint64_t i = 0; i < 3; ++i) {
    fuse_forget_one one{};
    one.nodeid = 0x1000 + i;
    one.nlookup = 0x20 + i;
    entries += BytesOf(one);
  }
  samples.push_back(MakeSample<BatchForgetRequest>("BatchForget", FUSE_BATCH_FORGET, BytesOf(batch),
                                                   entries, [](const BatchForgetRequest& request) {
                                                     ASSERT_EQ(request.count, 3u);
                                                     for (uint32_t i = 0; i < 3; ++i) {
                                                       EXPECT_EQ(ToInt(request.At(i).ino),
                                                                 0x1000u + i);
                                                       EXPECT_EQ(request.At(i).count, 0x20u + i);
                                                     }
                                                   }));
  batch.count = 0;
  samples.push_back(MakeSample<BatchForgetRequest>(
      "BatchForgetNone", FUSE_BATCH_FORGET, BytesOf(batch), "",
      [](const BatchForgetRequest& request) { EXPECT_EQ(request.count, 0u); }));

  fuse_init_in init{};
  init.major = 7;
  init.minor = 45;
  init.max_readahead = 0x00020000;
  init.flags = FUSE_INIT_EXT | FUSE_ASYNC_READ;
  init.flags2 = 0x00000421;
  samples.push_back(
      MakeSample<InitRequest>("Init", FUSE_INIT, BytesOf(init), "", [](const InitRequest& request) {
        EXPECT_EQ(request.major, 7u);
        EXPECT_EQ(request.minor, 45u);
        EXPECT_EQ(request.max_readahead, 0x00020000u);
        EXPECT_EQ(request.flags, 0x00000421'40000001u);
      }));
  init.minor = 31;
  init.flags = FUSE_ASYNC_READ | FUSE_MAX_PAGES;
  constexpr size_t kShortInit = 16;
  samples.push_back(MakeSample<InitRequest>(
      "InitShort", FUSE_INIT, BytesOf(init).substr(0, kShortInit), "",
      [](const InitRequest& request) {
        EXPECT_EQ(request.minor, 31u);
        EXPECT_EQ(request.max_readahead, 0x00020000u);
        EXPECT_EQ(request.flags, uint64_t{FUSE_ASYNC_READ | FUSE_MAX_PAGES});
      }));
  // Without INIT_EXT, the upper half of the flags has no meaning with any value.
  samples.push_back(MakeSample<InitRequest>(
      "InitWithoutExtension", FUSE_INIT, BytesOf(init), "", [](const InitRequest& request) {
        EXPECT_EQ(request.flags, uint64_t{FUSE_ASYNC_READ | FUSE_MAX_PAGES});
      }));
  samples.back().shortest_valid = sizeof(fuse_in_header) + kShortInit;

  samples.push_back(
      MakeSample<DestroyRequest>("Destroy", FUSE_DESTROY, "", "", [](const DestroyRequest&) {}));
  return samples;
}

std::vector<Sample> AllSamples() {
  std::vector<Sample> all;
  for (auto& family : {NamespaceSamples(), AttributeSamples(), IoSamples(), SessionSamples()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

}  // namespace memfuse::protocol
