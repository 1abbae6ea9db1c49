// What becomes of images that are damaged or unusual, and how a directory of them is read. `judge.pictures` compares
// pixels with Pillow's.
#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "engine/data/images/ContactSheet.h"
#include "engine/data/images/Crop.h"
#include "engine/data/images/EncodedImage.h"
#include "engine/data/images/Resize.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestImages.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

using namespace std::string_literals;

Pixels decoded(const std::string& bytes, int shrink = 1) {
  Pixels pixels;
  EncodedImage(bytes).decode(shrink, pixels);
  return pixels;
}

TEST(EncodedImage, IsReadByItsContent) {
  const Pixels pixels = test_pixels(5, 7);
  EXPECT_EQ(decoded(png_of(pixels)).bytes, pixels.bytes);
  EXPECT_EQ(decoded(webp_of(pixels)).bytes, pixels.bytes);
  EXPECT_EQ(decoded(jpeg_of(pixels)).bytes.size(), pixels.bytes.size());
  EXPECT_EQ(decoded(png_of(test_pixels(5, 7, 1))).bytes, test_pixels(5, 7, 1).bytes);
  EXPECT_EQ(EncodedImage(jpeg_of(test_pixels(5, 7, 1))).header().channels, 1);
  for (const std::string& other : {"GIF89a"s, "BM"s, "RIFF1234WAVE"s, "\xff\xd8"s, ""s}) {
    EXPECT_FALSE(EncodedImage::begins(other));
    EXPECT_ERROR(EncodedImage{other}, InputError, "expected an image, a JPEG, PNG or WebP");
  }
}

TEST(EncodedImage, AJpegIsDecodedSmaller) {
  const std::string jpeg = jpeg_of(test_pixels(33, 50));
  for (const auto& [shrink, height, width] : {std::tuple(2, 17, 25), {4, 9, 13}, {8, 5, 7}}) {
    const Pixels pixels = decoded(jpeg, shrink);
    EXPECT_EQ(pixels.height, height);
    EXPECT_EQ(pixels.width, width);
  }
  const std::string tiny = jpeg_of(test_pixels(1, 2));
  EXPECT_EQ(decoded(tiny, 8).bytes.size(), 3);
}

TEST(EncodedImage, WhatIsCutShortIsRefused) {
  const Pixels pixels = test_pixels(40, 40);
  for (const std::string& whole :
       {jpeg_of(pixels), jpeg_of(pixels, TJFLAG_PROGRESSIVE), png_of(pixels), webp_of(pixels)}) {
    for (const std::size_t left :
         {whole.size() - 1, whole.size() - 30, whole.size() / 2, std::size_t{40}, std::size_t{12}}) {
      if (whole.starts_with("\x89PNG") && left == whole.size() - 1) continue;  // a byte of the checksum of its end
      try {
        decoded(whole.substr(0, left));
        ADD_FAILURE() << left << " of " << whole.size() << " bytes were taken for an image";
      } catch (const InputError&) {
      }
    }
  }
  EXPECT_ERROR(decoded(jpeg_of(pixels).substr(0, 900)), InputError, "the JPEG image is truncated: its end is missing");
  EXPECT_ERROR(decoded(webp_of(pixels).substr(0, 900)), InputError, "the WebP image is truncated");
  EXPECT_ERROR(decoded(png_of(pixels).substr(0, 900)), InputError, "the PNG image is damaged");
}

TEST(EncodedImage, AJpegMayHaveBytesBetweenAndBehindItsParts) {
  std::string jpeg = jpeg_of(test_pixels(40, 40));
  const Pixels pixels = decoded(jpeg);
  EXPECT_EQ(decoded(jpeg + "more").bytes, pixels.bytes);
  EXPECT_EQ(decoded(jpeg + "a film \xff\xda of it").bytes, pixels.bytes);
  EXPECT_EQ(decoded(std::string(jpeg).insert(jpeg.size() - 2, "\1\2\3")).bytes, pixels.bytes);
  EXPECT_EQ(decoded(std::string(jpeg).insert(2, "\xff\xff")).bytes, pixels.bytes);
  // Damage in between is no such thing.
  const std::size_t scan = jpeg.rfind("\xff\xda");
  EXPECT_ERROR(decoded(jpeg.replace(scan + 40, 4, "\xff\xd0\xff\xd1")), InputError, "the JPEG image is damaged (");
}

TEST(EncodedImage, ItsSizeIsBoundedBeforeItTakesMemory) {
  std::string png = png_of(test_pixels(2, 2));
  png.replace(16, 8, "\0\0\x40\0\0\0\x40\0"s);  // its checksum is not looked at before its size
  std::string jpeg = jpeg_of(test_pixels(2, 2));
  const std::size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, "\xff\xff\xff\xff");
  EXPECT_ERROR(decoded(jpeg), InputError, "65535×65535 pixels", "1 to 67108864");
  jpeg.replace(frame + 5, 2, "\0\0"s);
  EXPECT_ERROR(decoded(jpeg), InputError, "65535×0 pixels");
  jpeg.replace(frame + 4, 1, "\14");
  EXPECT_ERROR(decoded(jpeg), InputError, "12 bits a channel; expected 8");
  jpeg.replace(frame + 4, 6, "\10\0\2\0\2\2"s);
  EXPECT_ERROR(decoded(jpeg), InputError, "2 channels; expected 1, 3 or 4");
  EXPECT_THROW(decoded(png), InputError);
}

TEST(Orientation, IsFoundInWhatMayBeDamaged) {
  const std::string entry = "\1\22\0\3\0\0\0\1\0\6\0\0"s;
  const std::string tiff = "MM\0*\0\0\0\10\0\1"s + entry;
  EXPECT_TRUE(exif_orientation(tiff).swapped);
  EXPECT_TRUE(exif_orientation("Exif\0\0"s + tiff).columns_reversed);
  EXPECT_TRUE(exif_orientation("II*\0\10\0\0\0\1\0\22\1\3\0\1\0\0\0\10\0\0\0"s).rows_reversed);
  for (std::size_t size = 0; size + 4 < tiff.size(); ++size)
    EXPECT_FALSE(exif_orientation(tiff.substr(0, size)).swapped);
  EXPECT_FALSE(exif_orientation("MM\0*\xff\xff\xff\xff\0\1"s + entry).swapped);
  EXPECT_FALSE(exif_orientation("MM\0*\0\0\0\10\xff\xff"s).swapped);
  EXPECT_FALSE(exif_orientation(tiff.substr(0, 18) + "\0\11\0\0"s).swapped);
}

TEST(Crop, BoxesLieWithinTheImage) {
  for (const auto& [height, width] : {std::pair(1, 1), {500, 375}, {1, 1000}, {1000, 1}, {33, 34}}) {
    double least = 1;
    for (std::int64_t sample = 0; sample < 200; ++sample) {
      const Box box = random_box(height, width, SampleChance({.seed = 1}, sample, SampleChance::Use::kCrop));
      EXPECT_GE(box.top, 0);
      EXPECT_GE(box.left, 0);
      EXPECT_GE(box.height, 1);
      EXPECT_GE(box.width, 1);
      EXPECT_LE(box.top + box.height, height);
      EXPECT_LE(box.left + box.width, width);
      least = std::min(least, box.height * box.width / height / width);
    }
    EXPECT_LT(least, height == 500 ? 0.12 : 1.1);
  }
  const Box box = center_box(500, 375, {.height = 224, .width = 224});
  EXPECT_EQ(box.top, 62);
  EXPECT_EQ(box.left, 0);
  EXPECT_EQ(box.height, 375);
}

TEST(Resize, AWholePartIsCopied) {
  const Pixels pixels = test_pixels(9, 11);
  Pixels out;
  resize(pixels, {.top = 2, .left = 3, .height = 4, .width = 5}, 4, 5, out);
  for (std::int64_t y = 0; y < 4; ++y) {
    EXPECT_TRUE(std::equal(out.row(y), out.row(y) + 15, pixels.row(y + 2) + 9));
  }
  // A plane of one value stays one.
  Pixels plain = test_pixels(9, 11);
  std::ranges::fill(plain.bytes, 201);
  resize(plain, {.top = 0.5, .left = 1.25, .height = 8.25, .width = 9.75}, 30, 4, out);
  EXPECT_TRUE(std::ranges::all_of(out.bytes, [](std::uint8_t byte) { return byte == 201; }));
}

class ImageFolder : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  OpenedChannel open(const ChannelOptions& options = {}, const std::string& channel = "") {
    return Formats::builtin().open(directory_ / channel, options);
  }

  TemporaryDirectory directory_;
};

TEST_F(ImageFolder, AClassIsADirectory) {
  write("dog/b.png", png_of(test_pixels(4, 6)));
  write("dog/more/a", webp_of(test_pixels(4, 6)));
  write("cat/x.jpeg", png_of(test_pixels(6, 5, 1)));
  write("cat-like/y.jpg", jpeg_of(test_pixels(2, 3)));
  write("cat/notes.txt", "notes");
  const OpenedChannel channel = open();
  EXPECT_EQ(channel.format, "images");
  EXPECT_EQ(channel.files, 4);
  EXPECT_EQ(channel.passed_over.names, std::vector<std::string>{"cat/notes.txt"});
  const Dataset& data = *channel.dataset;
  const Field& target = data.spec().fields[1];
  EXPECT_EQ(target.categories, (std::vector<std::string>{"cat", "cat-like", "dog"}));
  EXPECT_EQ(target.bound, 3);
  const std::vector<std::int64_t> labels = read_field<std::int64_t>(data, "target", {0, 1, 2, 3});
  for (std::int64_t i = 0; i < 4; ++i) {
    EXPECT_NE(data.place(0, i).find(
                  "/" + target.categories[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])] + "/"),
              std::string::npos);
  }
  // As large, and of as many channels, as the first.
  EXPECT_EQ(data.place(0, 0), (directory_ / "cat/x.jpeg").string());
  EXPECT_EQ(data.spec().fields[0].sizes, (std::vector<std::int64_t>{1, 6, 5}));
  EXPECT_EQ(data.note(), "images of 2×3 to 6×5, made 6×5");
}

TEST_F(ImageFolder, ImagesAreAsTheProgramTakesThem) {
  write("a/grey.png", png_of(test_pixels(4, 6, 1)));
  write("a/rgb.png", png_of(test_pixels(4, 6)));
  const auto found = [&](int channels, std::int64_t sample) {
    const OpenedChannel channel = open({.image = {.shape = ImageShape{channels, 4, 6}}});
    return read_field<std::uint8_t>(*channel.dataset, "image", {sample});
  };
  const std::vector<std::uint8_t> grey = test_pixels(4, 6, 1).bytes;
  EXPECT_EQ(found(1, 0), grey);
  const std::vector<std::uint8_t> three = found(3, 0);
  for (int channel = 0; channel < 3; ++channel)
    EXPECT_TRUE(std::equal(grey.begin(), grey.end(), three.begin() + 24 * channel));
  const Pixels rgb = test_pixels(4, 6);
  EXPECT_EQ(found(3, 1)[24 + 1], rgb.bytes[3 + 1]);
  EXPECT_EQ(found(1, 1)[5], (rgb.bytes[15] * 19595 + rgb.bytes[16] * 38470 + rgb.bytes[17] * 7471 + 32768) >> 16);
}

TEST_F(ImageFolder, AnotherChannelHasTheSameClasses) {
  for (const char* name : {"train/ant/1", "train/bee/1", "train/cow/1", "validation/cow/1"})
    write(name, png_of(test_pixels(2, 2)));
  const OpenedChannel train = open({}, "train");
  const SampleSpec* like = &train.dataset->spec();
  const OpenedChannel validation = open({.like = like}, "validation");
  EXPECT_EQ(read_field<std::int64_t>(*validation.dataset, "target", {0}), std::vector<std::int64_t>{2});
  EXPECT_EQ(validation.dataset->spec().fields[1].categories.size(), 3);
  write("validation/elk/1", png_of(test_pixels(2, 2)));
  EXPECT_ERROR(open({.like = like}, "validation"), InputError,
               "the class \"elk\", which the training channel does not have", "ant, bee, cow");
}

TEST_F(ImageFolder, AListSaysWhichImagesThereAre) {
  for (const char* name : {"x/a.jpg", "x/b.jpg", "x/more/c.jpg"}) write(name, png_of(test_pixels(2, 2)));
  using Texts = std::pair<std::string, std::string>;
  write("x/train.lst", "0\t4.000000\tmore/c.jpg\r\n\n7\t0\ta.jpg");
  const OpenedChannel channel = open();
  EXPECT_EQ(channel.format, "images");
  EXPECT_EQ(read_field<std::int64_t>(*channel.dataset, "target", {0, 1}), (std::vector<std::int64_t>{4, 0}));
  EXPECT_EQ(channel.dataset->place(0, 0), (directory_ / "x/more/c.jpg").string());
  EXPECT_EQ(ProgramSamples(channel.dataset, {{.name = "x"}}, {}).classes(), 5);
  for (const auto& [line, text] :
       {Texts{"1\t2\t3\ta.jpg",
              "train.lst, line 2: expected an index, a label and a path between tabs; found 4 columns"},
        {"1\t0.5\ta.jpg", "train.lst, line 2: the label is \"0.5\"; expected an integer ≥ 0"},
        {"1\t-1\ta.jpg", "the label is \"-1\""},
        {"1\t\ta.jpg", "the label is \"\""},
        {"1\t0\td.jpg", "train.lst, line 2: the list names \"d.jpg\", which is no JPEG"},
        {"1\t0\t../../a.jpg", "which is no JPEG"}}) {
    write("x/train.lst", "0\t4\ta.jpg\n" + line);
    EXPECT_ERROR(open(), InputError, text);
  }
  // Another's list, and what is none.
  std::filesystem::rename(directory_ / "x/train.lst", directory_ / "x/other.lst");
  write("x/other.rec", " ");
  write("x/others.lst", "a.jpg\nb.jpg\n");
  EXPECT_EQ(open().dataset->spec().fields[1].categories, std::vector<std::string>{"x"});
  EXPECT_EQ(open().passed_over.names, (std::vector<std::string>{"x/other.lst", "x/other.rec", "x/others.lst"}));
}

TEST_F(ImageFolder, AContactSheetShowsSome) {
  for (int i = 0; i < 10; ++i) write("a/" + std::to_string(i) + ".png", png_of(test_pixels(4, 6)));
  const OpenedChannel channel = open();
  const Pixels sheet = contact_sheet(*channel.dataset, 0, 5);  // 3 columns, 2 rows
  EXPECT_EQ(sheet.height, 2 * 5 - 1);
  EXPECT_EQ(sheet.width, 3 * 7 - 1);
  const Pixels one = test_pixels(4, 6);
  for (std::int64_t y = 0; y < 4; ++y) {
    EXPECT_TRUE(std::equal(one.row(y), one.row(y) + 6 * 3, sheet.row(y)));
    EXPECT_TRUE(std::equal(one.row(y), one.row(y) + 6 * 3, sheet.row(5 + y) + 7 * 3));
  }
  EXPECT_EQ(sheet.row(4)[0], 255);
  EXPECT_EQ(sheet.row(5)[2 * 7 * 3], 255);  // there is no sixth
  write_png(sheet, directory_ / "sheet.png");
  std::ifstream file(directory_ / "sheet.png", std::ios::binary);
  const std::string png{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(decoded(png).bytes, sheet.bytes);
}

TEST_F(ImageFolder, LargeImagesAreSmallOnAContactSheet) {
  write("a/1.png", png_of(test_pixels(300, 100, 1)));
  const Pixels sheet = contact_sheet(*open().dataset, 0);
  EXPECT_EQ(sheet.height, 112);
  EXPECT_EQ(sheet.width, 37);
  EXPECT_EQ(sheet.channels, 1);
}

TEST_F(ImageFolder, AnAugmentedManifestSaysWhichImagesThereAre) {
  for (const char* name : {"a.jpg", "more/b.jpg"}) write(name, png_of(test_pixels(2, 2)));
  write(
      "train.manifest",
      "{\"source-ref\": \"s3://bucket/data/more/b.jpg\", \"class\": 2, \"class-metadata\": {\"class-name\": \"cat\"}}\n"
      "{\"source-ref\": \"s3://bucket/a.jpg\", \"class\": \"1\"}\n");
  const OpenedChannel channel = open();
  EXPECT_EQ(channel.format, "images");
  EXPECT_EQ(read_field<std::int64_t>(*channel.dataset, "target", {0, 1}), (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(channel.dataset->place(0, 0), (directory_ / "more/b.jpg").string());
  using Texts = std::pair<std::string, std::string>;
  for (const auto& [line, text] :
       {Texts{R"({"source-ref": "s3://b/c.jpg", "class": 1})", "line 2: the augmented manifest names \"s3://b/c.jpg\""},
        {R"({"source-ref": "s3://b/a.jpg", "class": 0.5})", "line 2: the label is \"0.5\""},
        {R"({"source-ref": "s3://b/a.jpg", "class": "cat"})", "expected an integer"},
        {R"({"source-ref": "s3://b/a.jpg", "class": 0, "color": 1})", "class and color: say with columns=target=NAME"},
        {R"({"source-ref": "s3://b/a.jpg"})", "line 2: it has no label"},
        {R"({"source-ref": 5, "class": 1})", "source-ref is no text"},
        {R"({"class": 1})", "no source-ref"},
        {R"([1])", "expected an object"}}) {
    write("train.manifest", R"({"source-ref": "s3://b/a.jpg", "class": 1})"
                            "\n" +
                                line);
    EXPECT_ERROR(open(), InputError, text);
  }
  write("train.manifest", R"({"source-ref": "s3://b/a.jpg", "class": 3, "color": 1})");
  const std::map<std::string, std::string> columns = {{"target", "class"}};
  const ProgramSamples samples(open({.columns = columns}).dataset, {{.name = "x"}}, {.names = columns});
  EXPECT_EQ(samples.numbers(samples.target(), 0), std::vector<double>{3});
  EXPECT_EQ(samples.input(0).sizes, (std::vector<std::int64_t>{3, 2, 2}));
  std::filesystem::remove(directory_ / "train.manifest");
  const std::string line = R"({"source-ref": "s3://b/more/b.jpg", "class": 4})";
  const gzFile file = ::gzopen((directory_ / "train.manifest.gz").c_str(), "wb");
  ::gzwrite(file, line.data(), static_cast<unsigned>(line.size()));
  ::gzclose(file);
  EXPECT_EQ(read_field<std::int64_t>(*open().dataset, "target", {0}), std::vector<std::int64_t>{4});
}

TEST_F(ImageFolder, WhatIsWrongIsNamed) {
  write("a/1.png", png_of(test_pixels(20, 20)));
  write("a/2.png", png_of(test_pixels(20, 20)).substr(0, 700));
  const OpenedChannel channel = open();
  EXPECT_ERROR(read_field<std::uint8_t>(*channel.dataset, "image", {0, 1}), InputError,
               "a/2.png: the PNG image is damaged");
  std::filesystem::remove(directory_ / "a/1.png");
  EXPECT_ERROR(read_field<std::uint8_t>(*channel.dataset, "image", {0}), InputError, "a/1.png");
  write("stray.jpg", png_of(test_pixels(2, 2)));
  EXPECT_ERROR(open(), InputError, "holds images without a class, as stray.jpg", "named after its class");
}

TEST_F(ImageFolder, TheDigestIsOfNamesAndImages) {
  write("a/1.png", png_of(test_pixels(20, 20)));
  write("b/2.png", png_of(test_pixels(20, 20)));
  const std::string digest = open().dataset->digest();
  EXPECT_EQ(open().dataset->digest(), digest);
  EXPECT_NE(open({.image = {.shape = ImageShape{3, 4, 4}}}).dataset->digest(), digest);
  write("b/2.png", png_of(test_pixels(20, 21)));
  EXPECT_NE(open().dataset->digest(), digest);
  write("b/2.png", png_of(test_pixels(20, 20)));
  std::filesystem::rename(directory_ / "b/2.png", directory_ / "a/2.png");
  EXPECT_NE(open().dataset->digest(), digest);
}

}  // namespace
}  // namespace lockstep
