#include "engine/data/Columns.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

using Sizes = std::vector<std::int64_t>;

SampleSpec spec() {
  return {{{.name = "image", .type = ElementType::kUint8, .sizes = {8, 8}},
           {.name = "mask", .type = ElementType::kBool, .sizes = {6}},
           {.name = "table", .type = ElementType::kInt16, .sizes = {6}},
           {.name = "weight", .type = ElementType::kFloat},
           {.name = "y", .type = ElementType::kInt32}}};
}

std::vector<ProgramInput> inputs() {
  return {{.name = "table", .type = ElementType::kInt64, .sizes = Sizes{6}},
          {.name = "image", .type = ElementType::kFloat, .sizes = Sizes{1, 8, 8}},
          {.name = "mask", .type = ElementType::kBool, .sizes = {}}};
}

TEST(Columns, GoToTheInputsByName) {
  const Columns columns = choose_columns(spec(), inputs(), {});
  ASSERT_EQ(columns.inputs.size(), 3);
  EXPECT_EQ(columns.inputs[0].field, 2);
  EXPECT_EQ(columns.inputs[0].transform.to(), ElementType::kInt64);
  EXPECT_EQ(columns.inputs[1].field, 0);
  EXPECT_EQ(columns.inputs[1].transform.to(), ElementType::kFloat);
  EXPECT_TRUE(columns.inputs[1].transform.scales_bytes());
  EXPECT_EQ(columns.inputs[1].sizes, (Sizes{1, 8, 8}));
  EXPECT_EQ(columns.inputs[2].field, 1);
  EXPECT_TRUE(columns.inputs[2].transform.copies());
  EXPECT_EQ(columns.target->field, 4);
  EXPECT_EQ(columns.target->transform.to(), ElementType::kInt64);
  ASSERT_TRUE(columns.weight.has_value());
  EXPECT_EQ(columns.weight->field, 3);
}

TEST(Columns, OtherNamesAreMapped) {
  SampleSpec other = spec();
  for (Field& field : other.fields) field.name += "s";
  const std::map<std::string, std::string> names = {
      {"image", "images"}, {"table", "tables"}, {"mask", "masks"}, {"target", "ys"}, {"weight", "weights"}};
  const Columns columns = choose_columns(other, inputs(), {.names = names});
  EXPECT_EQ(columns.inputs[0].field, 2);
  EXPECT_EQ(columns.target->field, 4);
  ASSERT_TRUE(columns.weight.has_value());
  EXPECT_EQ(columns.weight->field, 3);
}

TEST(Columns, AProgramOfOneInputTakesTheOneThatIsLeft) {
  for (const char* target : {"targets", "labels", "target", "label", "y"}) {
    const SampleSpec two{{{.name = "a", .sizes = {3}}, {.name = target}}};
    const Columns columns = choose_columns(two, {{.name = "x"}}, {});
    EXPECT_EQ(columns.inputs[0].field, 0);
    EXPECT_EQ(columns.target->field, 1);
    EXPECT_FALSE(columns.weight.has_value());
  }
  // By its name where there are more; a weight, too, where the program has such an input.
  const SampleSpec more{{{.name = "a"}, {.name = "weight"}, {.name = "y"}}};
  EXPECT_EQ(choose_columns(more, {{.name = "x"}}, {}).inputs[0].field, 0);
  const Columns weighed = choose_columns(more, {{.name = "weight"}}, {});
  EXPECT_EQ(weighed.inputs[0].field, 1);
  EXPECT_FALSE(weighed.weight.has_value());
}

TEST(Columns, SaysWhatIsThereWhenSomethingIsMissing) {
  EXPECT_ERROR(choose_columns(spec(), {{.name = "image"}, {.name = "depth"}}, {}), InputError,
               "nothing feeds the program's input depth: there is image (uint8 [8, 8]), mask (bool [6])",
               "columns=depth=COLUMN");
  SampleSpec without = spec();
  without.fields.pop_back();
  EXPECT_ERROR(choose_columns(without, inputs(), {}), InputError, "there are no targets", "columns=target=COLUMN");
  EXPECT_ERROR(choose_columns(spec(), inputs(), {.names = {{"picture", "image"}}}), InputError,
               "columns names \"picture\", which is no input", "table, image, mask");
  EXPECT_ERROR(choose_columns(spec(), inputs(), {.names = {{"image", "picture"}}}), InputError,
               "columns says that image is \"picture\", which is not there");
  const SampleSpec two{{{.name = "a"}, {.name = "b"}, {.name = "y"}}};
  EXPECT_ERROR(choose_columns(two, {{.name = "x"}}, {}), InputError, "nothing feeds the program's input x");
}

TEST(Columns, DecideTypesOnce) {
  const auto type = [](ElementType stored, ElementType wanted, ElementType real) {
    const SampleSpec one{{{.name = "x", .type = stored}, {.name = "y"}}};
    return choose_columns(one, {{.name = "x", .type = wanted}}, {.real = real}).inputs[0].transform.to();
  };
  EXPECT_EQ(type(ElementType::kDouble, ElementType::kFloat, ElementType::kFloat), ElementType::kFloat);
  EXPECT_EQ(type(ElementType::kUint8, ElementType::kBFloat16, ElementType::kFloat), ElementType::kFloat);
  EXPECT_EQ(type(ElementType::kFloat, ElementType::kDouble, ElementType::kFloat), ElementType::kDouble);
  EXPECT_EQ(type(ElementType::kBool, ElementType::kFloat, ElementType::kDouble), ElementType::kDouble);
  EXPECT_EQ(type(ElementType::kUint8, ElementType::kInt32, ElementType::kFloat), ElementType::kInt32);
  EXPECT_EQ(type(ElementType::kInt64, ElementType::kBool, ElementType::kFloat), ElementType::kBool);
  EXPECT_ERROR(type(ElementType::kFloat, ElementType::kInt64, ElementType::kFloat), InputError,
               "input x takes int64, and its column x holds float32");
  const SampleSpec wide{{{.name = "x"}, {.name = "y"}, {.name = "weight", .sizes = {2}}}};
  EXPECT_ERROR(choose_columns(wide, {{.name = "x"}}, {}), InputError, "one number for each sample", "[2]");
}

TEST(Columns, AProgramWithALossOfItsOwnTakesInputsAlone) {
  const SampleSpec labelled{
      {{.name = "x", .sizes = {3}}, {.name = "labels", .type = ElementType::kInt64}, {.name = "weight"}}};
  const std::vector<ProgramInput> both = {{.name = "x"}, {.name = "labels", .type = ElementType::kInt64}};
  const Columns columns = choose_columns(labelled, both, {.targets = false});
  EXPECT_EQ(columns.inputs[1].field, 1);
  EXPECT_FALSE(columns.target.has_value());
  EXPECT_FALSE(columns.weight.has_value());
  EXPECT_ERROR(choose_columns(labelled, both, {}), InputError, "there are no targets");
  EXPECT_ERROR(choose_columns(labelled, both, {.names = {{"target", "labels"}}, .targets = false}), InputError,
               "\"target\"", "with a loss of its own it takes nothing else");
}

}  // namespace
}  // namespace lockstep
