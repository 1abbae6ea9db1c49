#include "engine/commands/InspectChannel.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/ProgramSamples.h"
#include "engine/data/fields/FieldsDataset.h"
#include "engine/data/images/ContactSheet.h"
#include "engine/session/Registries.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostShown = 6;      // numbers of a sample, parts of a column, categories
constexpr std::size_t kMostClasses = 100;  // of which each count is shown

std::string number_text(double number) { return format("%.6g", number); }

template <typename Item, typename Text>
std::string some(const std::vector<Item>& items, const Text& text) {
  std::vector<std::string> parts;
  for (const Item& item : std::span(items).first(std::min(kMostShown, items.size()))) parts.push_back(text(item));
  return join(parts, ", ") + (items.size() > kMostShown ? ", …" : "");
}

std::string refusal(const InputError& error) { return std::string("training would end: ") + error.what(); }

bool is_role(const std::string& name) { return name == kTargetColumn || name == kWeightColumn; }

/// What a job would be told of columns that says nothing else.
struct Wanted {
  std::vector<ProgramInput> inputs{};  ///< of a program that is not known
  ColumnOptions all{.ignored_label = Hyperparameters().ignore_index};
  ColumnOptions roles = all;  ///< target and weight alone
};

Wanted wanted_by(const ChannelInspection& what) {
  Wanted wanted;
  wanted.all.names = what.columns;
  for (const auto& [name, parts] : what.fields) wanted.all.names.emplace(name, name);
  for (const auto& [name, column] : wanted.all.names) {
    is_role(name) ? void(wanted.roles.names.emplace(name, column)) : wanted.inputs.push_back({.name = name});
  }
  if (wanted.inputs.empty()) wanted.inputs.push_back({.name = "x"});  // as built-in programs have
  return wanted;
}

std::string targets_text(const std::shared_ptr<const Dataset>& dataset, const ColumnOptions& options) {
  std::string name;
  try {
    name = dataset->spec().fields[choose_columns(dataset->spec(), {}, options).target.value().field].name;
  } catch (const InputError& error) {
    return refusal(error);
  }
  const ProgramSamples samples(dataset, {}, options);
  if (samples.class_labels() && samples.classes() == 0) return name + ", class labels, too many to look at";
  return name + (samples.class_labels()
                     ? format(", class labels 0 … %lld", static_cast<long long>(samples.classes() - 1))
                     : ", numbers");
}

void print_inputs(const Dataset& dataset, const Wanted& wanted) {
  try {
    for (const Column& input : choose_columns(dataset.spec(), wanted.inputs, wanted.all).inputs) {
      const Field& field = dataset.spec().fields[input.field];
      const Normalization& by = input.transform.normalization();
      std::printf("input      %s, %s [%s]%s%s\n", field.name.c_str(), to_string(input.transform.to()).c_str(),
                  join(input.sizes, ", ").c_str(), input.transform.scales_bytes() ? ", bytes divided by 255" : "",
                  by.changes_nothing()
                      ? ""
                      : (", less " + some(by.mean, number_text) + ", divided by " + some(by.std, number_text)).c_str());
    }
  } catch (const InputError& error) {
    std::printf("input      %s\n", refusal(error).c_str());
  }
}

// What the first integers of a field of categories stand for.
std::string categories_text(const Field& field) {
  if (field.categories.empty()) return "";
  return " " + with_commas(static_cast<long long>(field.categories.size())) +
         " categories: " + some(field.categories, [](const std::string& name) { return name; });
}

void print_columns(const std::vector<Field>& fields) {
  for (const Field& field : fields) {
    const std::string holds =
        format("%-8s [%s]", to_string(field.type).c_str(), join(field.sizes, ", ").c_str()) + categories_text(field);
    std::printf("column     %-40s %s%s\n", field.name.c_str(), (field.fault ? field.fault->what : holds).c_str(),
                field.row_index ? ", the rows' index: no feature unless it is named" : "");
  }
  for (const Field& field : fields) {
    if (field.fault && field.name != kFeaturesField) {
      std::printf("fault      %-40s if it is used, training ends: %s\n", field.name.c_str(), field.fault->why.c_str());
    }
  }
}

std::string value_text(const Field& field, double number) {
  const bool named = !field.categories.empty() && number >= 0 && number < static_cast<double>(field.categories.size());
  return named ? field.categories[static_cast<std::size_t>(number)] : number_text(number);
}

// Of fields as they are stored.
void print_samples(const Dataset& dataset) {
  constexpr std::int64_t kSamples = 3;
  const std::vector<Field>& fields = dataset.spec().fields;
  for (std::int64_t sample = 0; sample < std::min(kSamples, dataset.size()); ++sample) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].fault) continue;
      std::vector<double> raw(fields[i].bytes() / sizeof(double) + 1);
      std::vector<std::byte*> places(fields.size());
      places[i] = reinterpret_cast<std::byte*>(raw.data());
      dataset.read({&sample, 1}, places);
      std::vector<double> numbers(static_cast<std::size_t>(fields[i].numbers()));
      Transform(fields[i].type, ElementType::kDouble, false)
          .run(places[i], std::ssize(numbers), reinterpret_cast<std::byte*>(numbers.data()));
      const std::string text = some(numbers, [&](double number) { return value_text(fields[i], number); });
      parts.push_back(fields[i].name + " " + (fields[i].sizes.empty() ? text : "[" + text + "]"));
    }
    std::printf("sample     %lld: %s\n", static_cast<long long>(sample), join(parts, ", ").c_str());
  }
}

std::vector<ColumnStatistics> statistics_of(const Dataset& dataset, const StatisticsRequest& request) {
  const std::int64_t threads = std::max(1U, std::thread::hardware_concurrency());
  return compute_statistics(dataset, {request}, {0, dataset.size()}, threads);
}

// Of each class, or of many classes how they differ.
void print_counts(const Dataset& dataset, const Field& field, StatisticsRequest request) {
  request.moments = false;
  request.values = true;
  const std::vector<ColumnStatistics> found = statistics_of(dataset, request);
  const std::map<std::int64_t, std::int64_t>& counts = found[0].values();
  if (counts.size() > kMostClasses) {
    const auto by_count = [](const auto& one, const auto& other) { return one.second < other.second; };
    const auto [fewest, most] = std::ranges::minmax_element(counts, by_count);
    const auto text = [&](const auto& entry) {
      return with_commas(entry->second) + " of " + value_text(field, static_cast<double>(entry->first));
    };
    std::printf("classes    %-40s %s; of a class at least %s, at most %s\n", field.name.c_str(),
                with_commas(static_cast<long long>(counts.size())).c_str(), text(fewest).c_str(), text(most).c_str());
    return;
  }
  for (const auto& [value, count] : counts) {
    std::printf("class      %-40s %-8s %s of %s\n", field.name.c_str(),
                value_text(field, static_cast<double>(value)).c_str(), with_commas(count).c_str(),
                with_commas(dataset.size()).c_str());
  }
}

bool is_target(const Field& field, const Dataset& dataset, const ChannelInspection& what) {
  if (const auto described = what.fields.find(kTargetColumn); described != what.fields.end()) {
    return described->second[0].columns[0] == field.name;
  }
  if (const auto named = what.columns.find(kTargetColumn); named != what.columns.end()) {
    return named->second == field.name;
  }
  const auto target = target_field(dataset.spec());
  return target && dataset.spec().fields[*target].name == field.name;
}

void print_statistics(const Dataset& dataset, const ChannelInspection& what) {
  const std::vector<Field>& fields = dataset.spec().fields;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const Field& field = fields[i];
    if (field.fault) continue;
    const bool few = std::ssize(ColumnStatistics(field, {}).parts()) <= ColumnStatistics::kMostParts;
    const StatisticsRequest request = {.field = i, .moments = few, .may_lack = true, .may_be_infinite = true};
    const std::vector<ColumnStatistics> found = statistics_of(dataset, request);
    const std::vector<ColumnStatistics::Part>& parts = found[0].parts();
    const auto each = [&](const auto& text) { return some(parts, text); };
    using Part = ColumnStatistics::Part;
    const bool texts = !field.categories.empty();
    if (!texts) {
      std::printf("range      %-40s %s\n", field.name.c_str(),
                  each([](const Part& part) {
                    return part.least > part.most ? "none" : number_text(part.least) + " … " + number_text(part.most);
                  }).c_str());
      if (few) {
        std::vector<ExactMoments> moments;
        for (std::size_t part = 0; part < parts.size(); ++part) moments.push_back(found[0].moments(part));
        std::printf("mean       %-40s %s\n", field.name.c_str(),
                    some(moments, [](const ExactMoments& part) { return number_text(part.mean()); }).c_str());
        std::printf("deviation  %-40s %s\n", field.name.c_str(),
                    some(moments, [](const ExactMoments& part) { return number_text(part.deviation()); }).c_str());
      }
    }
    std::int64_t missing = 0;
    std::int64_t infinite = 0;
    for (const Part& part : parts) {
      missing += part.missing;
      infinite += part.infinite;
    }
    if (missing > 0) std::printf("missing    %-40s %s\n", field.name.c_str(), with_commas(missing).c_str());
    if (infinite > 0) std::printf("infinite   %-40s %s\n", field.name.c_str(), with_commas(infinite).c_str());
    const bool classes = (!field.categories.empty() || is_target(field, dataset, what)) && !is_real(field.type) &&
                         field.sizes.empty() && parts[0].least >= 0 &&
                         parts[0].most < static_cast<double>(ColumnStatistics::kMostValues);
    if (classes) print_counts(dataset, field, request);
  }
}

std::shared_ptr<const Dataset> with_fields(const std::shared_ptr<const Dataset>& dataset,
                                           const FieldDescriptions& fields) {
  if (fields.empty()) return dataset;
  const auto requests = statistics_requests(fields, dataset->spec());
  const auto recipes =
      make_recipes(fields, dataset->spec(), requests, compute_statistics(*dataset, requests, {0, dataset->size()}, 1));
  for (const FieldRecipe& recipe : recipes) {
    std::printf("field      %-40s %-8s [%s]%s%s\n", recipe.field.name.c_str(), to_string(recipe.field.type).c_str(),
                join(recipe.field.sizes, ", ").c_str(), categories_text(recipe.field).c_str(),
                !recipe.field.normalization || recipe.field.normalization->changes_nothing()
                    ? ""
                    : (" less " + some(recipe.field.normalization->mean, number_text) + ", divided by " +
                       some(recipe.field.normalization->std, number_text))
                          .c_str());
  }
  return std::make_shared<FieldsDataset>(dataset, recipes);
}

void write_sheet(const Dataset& dataset, const std::filesystem::path& path) {
  const auto picture = std::ranges::find_if(dataset.spec().fields, is_picture);
  if (picture == dataset.spec().fields.end()) {
    throw InputError("there are no images for the sheet: there is " + describe(dataset.spec()));
  }
  write_png(contact_sheet(dataset, static_cast<std::size_t>(picture - dataset.spec().fields.begin())), path);
  std::printf("sheet      %s\n", path.c_str());
}

}  // namespace

void inspect_channel(const std::filesystem::path& directory, const ChannelInspection& what) {
  // There is no program that says how long its samples are; windows of 1 show all tokens there are.
  const OpenedChannel channel = Registries().formats.open(
      directory, {.content_type = what.content_type, .columns = what.columns, .fields = what.fields, .window = 1});
  const Dataset& dataset = *channel.dataset;
  std::printf("channel    %s samples, of %zu %s of %s\n", with_commas(dataset.size()).c_str(), channel.files,
              channel.files == 1 ? "file" : "files", channel.format.c_str());
  if (!channel.passed_over.none()) std::printf("besides    %s\n", channel.passed_over.text().c_str());
  if (const std::string note = dataset.note(); !note.empty()) std::printf("read as    %s\n", note.c_str());
  print_columns(dataset.spec().fields);
  if (what.statistics) print_statistics(dataset, what);
  print_samples(dataset);
  try {
    const std::shared_ptr<const Dataset> made = with_fields(channel.dataset, what.fields);
    const Wanted wanted = wanted_by(what);
    print_inputs(*made, wanted);
    std::printf("targets    %s\n", targets_text(made, wanted.roles).c_str());
  } catch (const InputError& error) {
    std::printf("fields     %s\n", refusal(error).c_str());
  }
  std::printf("digest     %s\n", dataset.digest().c_str());
  if (!what.sheet.empty()) write_sheet(dataset, what.sheet);
}

}  // namespace lockstep
