// Samples of images and labels in tar files.
#include <gtest/gtest.h>

#include <fstream>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestImages.h"
#include "tests/support/TestReads.h"
#include "tests/support/TestTar.h"

namespace lockstep {
namespace {

class WebDataset : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& members) {
    std::ofstream(directory_ / name, std::ios::binary) << members + tar_end();
  }
  OpenedChannel open() { return Formats::builtin().open(directory_.path()); }

  const std::string png_ = png_of(test_pixels(4, 6));
  TemporaryDirectory directory_;
};

TEST_F(WebDataset, FilesOfOneNameAreASample) {
  write("b.tar", tar_member("x/7.cls", " 12\n") + tar_member("x/7.PNG", png_) + tar_member("x/7.json", "{}"));
  write("a.tar", tar_member("./1.png", png_of(test_pixels(2, 3))) + tar_member("./1.txt", "3") +
                     tar_member("__notes.txt", "no") + tar_member(".hidden", "no") + tar_member("2.5.txt", "no") +
                     tar_member("README", "no"));
  EXPECT_ERROR(open(), InputError, "a.tar: the sample \"2\" at byte 4608 has no image");
  write("a.tar", tar_member("./1.png", png_of(test_pixels(2, 3))) + tar_member("./1.txt", "no number") +
                     tar_member("./1.cls", "3"));
  EXPECT_ERROR(open(), InputError, "a.tar: ./1.txt at byte", "holds \"no number\"; expected a label");
  write("a.tar", tar_member("./1.png", png_of(test_pixels(2, 3))) + tar_member("./1.txt", "3"));
  const OpenedChannel channel = open();
  EXPECT_EQ(channel.format, "WebDataset");
  const Dataset& data = *channel.dataset;
  EXPECT_EQ(read_field<std::int64_t>(data, "target", {1, 0}), (std::vector<std::int64_t>{12, 3}));
  EXPECT_EQ(data.spec().fields[0].sizes, (std::vector<std::int64_t>{3, 2, 3}));
  EXPECT_EQ(read_field<std::uint8_t>(data, "image", {0})[1], test_pixels(2, 3).bytes[3]);
  EXPECT_EQ(data.place(0, 0), (directory_ / "a.tar").string() + ", image at byte 512");
  EXPECT_EQ(ProgramSamples(channel.dataset, {{.name = "x"}}, {}).classes(), 13);
}

TEST_F(WebDataset, WhatIsWrongIsNamed) {
  write("a.tar", tar_member("1.png", png_));
  EXPECT_ERROR(open(), InputError, "a.tar: the sample \"1\" at byte 512 has no label: a .cls or .txt file");
  write("a.tar", tar_member("1.png", png_) + tar_member("1.jpg", png_) + tar_member("1.cls", "0"));
  EXPECT_ERROR(open(), InputError, "the sample \"1\" at byte 512 has two images, 1.png and 1.jpg");
  for (const char* label : {"-1", "1.5", "", "one", "99999999999999999999"}) {
    write("a.tar", tar_member("1.png", png_) + tar_member("1.cls", label));
    EXPECT_ERROR(open(), InputError, "1.cls at byte", "expected a label, an integer ≥ 0");
  }
  write("a.tar", "");
  EXPECT_ERROR(open(), InputError, "must hold");  // zeros alone are no tar file
  write("a.tar", tar_header("directory/", 0, '5'));
  EXPECT_ERROR(open(), InputError, "holds no image");
  write("a.tar", tar_member("1.png", png_.substr(0, 60)) + tar_member("1.cls", "0"));
  EXPECT_ERROR(read_field<std::uint8_t>(*open().dataset, "image", {0}), InputError,
               "a.tar, image at byte 512: the PNG image is damaged");
}

}  // namespace
}  // namespace lockstep
