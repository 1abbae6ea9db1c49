#include "job/Hyperparameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "common/Error.h"
#include "job/HyperparameterKinds.h"
#include "job/JobConfig.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

using nlohmann::json;

Hyperparameters parse(const RawHyperparameters& raw) { return parse_hyperparameters(raw); }

TEST(Hyperparameters, DefaultsWhenNothingIsGiven) {
  const Hyperparameters hyperparameters = parse({});
  EXPECT_EQ(to_json(hyperparameters), to_json(Hyperparameters()));
  EXPECT_EQ(hyperparameters.batch_size, 64);
}

// As SageMaker's framework estimators (JSON), its generic estimator (Python's repr), plain texts, job files and flags
// write them.
TEST(Hyperparameters, EveryEncodingMeansTheSame) {
  for (const json& encoded : {json("12"), json("\"12\""), json(12), json("12.0"), json(12.0), json(" 12 ")}) {
    EXPECT_EQ(parse({{"epochs", encoded}}).epochs, 12) << encoded;
  }
  for (const json& encoded : {json("1e-05"), json("\"1e-05\""), json(1e-5), json("0.00001")}) {
    EXPECT_EQ(parse({{"learning_rate", encoded}}).learning_rate, 1e-5) << encoded;
  }
  for (const json& encoded : {json("true"), json("True"), json(true), json("\"true\""), json("\"True\"")}) {
    EXPECT_TRUE(parse({{"nesterov", encoded}}).nesterov) << encoded;
  }
  for (const json& encoded : {json("adamw"), json("\"adamw\"")}) {
    EXPECT_EQ(parse({{"optimizer", encoded}}).optimizer, "adamw") << encoded;
  }
  for (const json& encoded : {json("64,128"), json("[64, 128]"), json("(64, 128)"), json({64, 128}), json("64, 128"),
                              json("\"[64, 128]\""), json("\"64,128\"")}) {
    EXPECT_EQ(parse({{"model_hidden", encoded}}).model_hidden, (std::vector<std::int64_t>{64, 128})) << encoded;
  }
  EXPECT_EQ(parse({{"model_hidden", "64"}}).model_hidden, (std::vector<std::int64_t>{64}));
  EXPECT_TRUE(parse({{"model_hidden", "[]"}}).model_hidden.empty());
  for (const json& nothing : {json("null"), json("None"), json()}) {
    EXPECT_EQ(parse({{"epochs", nothing}}).epochs, Hyperparameters().epochs) << nothing;
  }
  const std::string groups = R"([{"match": "it's \"*\"", "weight_decay": 0.5, "learning_rate_factor": 2}])";
  const std::string python = R"([{'match': 'it\'s "*"', 'weight_decay': 0.5, 'learning_rate_factor': 2}])";
  for (const json& encoded : {json(groups), json(python), json::parse(groups)}) {
    const auto parsed = parse({{"parameter_groups", encoded}}).parameter_groups;
    ASSERT_EQ(parsed.size(), 1);
    EXPECT_EQ(parsed[0].match, "it's \"*\"");
    EXPECT_EQ(parsed[0].weight_decay, 0.5);
    EXPECT_EQ(parsed[0].learning_rate_factor, 2);
  }
}

TEST(Hyperparameters, MonitorAndExport) {
  EXPECT_EQ(parse({{"monitor", "accuracy:max"}}).monitor.metric, "accuracy");
  EXPECT_TRUE(parse({{"monitor", "accuracy:max"}}).monitor.maximize);
  EXPECT_EQ(parse({{"export", "safetensors"}}).export_formats, (std::vector<Export>{Export::kSafetensors}));
  EXPECT_TRUE(parse({{"export", "none"}}).export_formats.empty());
  EXPECT_ERROR(parse({{"monitor", "accuracy"}}), InputError, "monitor", "accuracy:max");
  EXPECT_ERROR(parse({{"export", "pt2,pt2"}}), InputError, "export", "once");
  EXPECT_ERROR(parse({{"export", "pt"}}), InputError, "pt2, safetensors", "did you mean pt2?");
}

TEST(Hyperparameters, CheckpointsComeByStepsOrByTime) {
  const auto every = [](const json& value) { return parse({{"checkpoint_every", value}}).checkpoint_every; };
  EXPECT_EQ(every(500).steps, 500);
  EXPECT_EQ(every("\"500\"").steps, 500);
  EXPECT_EQ(every("90s").seconds, 90);
  EXPECT_EQ(every("0.5m").seconds, 30);
  EXPECT_EQ(every("2h").seconds, 7200);
  for (const json& none : {json("none"), json(0), json("0")}) EXPECT_TRUE(every(none).never());
  for (const char* wrong : {"-1", "10d", "s", "0m", "-3s", "nans", "1.5", "often", "inf h"}) {
    EXPECT_ERROR(every(wrong), InputError, "checkpoint_every", "as in 500", wrong);
  }
  const Hyperparameters timed = parse({{"checkpoint_every", "0.1m"}});
  EXPECT_EQ(hyperparameters_from_json(to_json(timed)).checkpoint_every.seconds, timed.checkpoint_every.seconds);
}

TEST(Hyperparameters, UnknownNamesAreRefusedAndOthersNamesPass) {
  EXPECT_ERROR(parse({{"learningrate", 1}}), InputError, "learningrate", "did you mean learning_rate?");
  EXPECT_ERROR(parse({{"frobnicate_all", 1}}), InputError, "frobnicate_all", "--help");
  EXPECT_NO_THROW(parse({{"sagemaker_program", "\"train.sh\""}, {"_tuning_objective_metric", "x"}}));
}

TEST(Hyperparameters, AnUnknownNameMayMeanSomethingElse) {
  EXPECT_ERROR(parse_hyperparameters({{"chanel", "x"}}, {"channel"}), InputError, "chanel", "did you mean channel?");
}

TEST(Hyperparameters, ColumnsHaveNames) {
  const std::map<std::string, std::string> expected = {{"image", "pixels"}, {"target", "a=b"}};
  for (const json& encoded : {json("image=pixels,target=a=b"), json("[\"image=pixels\", \"target=a=b\"]"),
                              json({"image=pixels", "target=a=b"}), json({{"image", "pixels"}, {"target", "a=b"}}),
                              json("{'image': 'pixels', 'target': 'a=b'}")}) {
    EXPECT_EQ(parse({{"columns", encoded}}).columns, expected) << encoded;
  }
  const Hyperparameters parsed = parse({{"columns", "image=pixels,target=a=b"}});
  EXPECT_EQ(hyperparameters_from_json(to_json(parsed)).columns, expected);
  for (const char* wrong : {"image", "=pixels", "image=", "image=a,image=b", "{\"image\": 3}", "{\"\": \"pixels\"}"}) {
    EXPECT_ERROR(parse({{"columns", wrong}}), InputError, "columns", "each name once with its column");
  }
  EXPECT_ERROR(parse({{"columns", "x=y"}, {"data", "synthetic"}}), InputError, "columns", "does nothing");
}

TEST(Hyperparameters, ADeepValueIsRefused) {
  for (const char* name : {"epochs", "model_hidden", "parameter_groups"}) {
    EXPECT_ERROR(parse({{name, std::string(300'000, '[')}}), InputError, name, "[[[");
    EXPECT_ERROR(parse({{name, std::string(300'000, '[') + std::string(300'000, ']')}}), InputError, name, "[[[");
  }
}

TEST(Hyperparameters, ValuesOfTheWrongTypeOrRangeAreRefused) {
  const auto refused = [](const char* name, const json& value, const std::string& expected) {
    EXPECT_ERROR(parse({{name, value}}), InputError, std::string(name), expected, std::string("found"));
  };
  refused("epochs", "many", "integer");
  refused("epochs", "0", "1 to");
  refused("epochs", "1.5", "integer");
  refused("epochs", "true", "integer");
  refused("epochs", "12345678901234567890123", "integer");
  refused("epochs", "[3]", "integer");
  refused("seed", "18446744073709551615", "2^63-1");
  refused("learning_rate", "0", "> 0");
  refused("learning_rate", "NaN", "> 0");
  refused("learning_rate", "Infinity", "> 0");
  refused("learning_rate", "1e999", "> 0");
  refused("momentum", "1", "< 1");
  refused("shuffle", "maybe", "true or false");
  refused("optimizer", "adamv", "did you mean adam");
  refused("model", "resnet", "mlp, cnn");
  refused("model_hidden", "64,x", "integers");
  refused("model_hidden", "[64, 0]", "integers");
  refused("parameter_groups", "*.bias", "list of objects");
  refused("parameter_groups", R"([{"match": "*", "lr": 1}])", "\"lr\"");
}

// A script that queues stopped jobs again must tell them from failed ones.
TEST(Hyperparameters, TheExitCodeOfAStoppedJobHasNoOtherMeaning) {
  for (const int code : {0, 7, 85, 125}) {
    EXPECT_EQ(parse_hyperparameters({{"exit_code_when_stopped", code}}).exit_code_when_stopped, code);
  }
  for (const int code : {1, 2, 3, 4, 5, 6, 126, 143}) {
    EXPECT_ERROR(parse_hyperparameters({{"exit_code_when_stopped", code}}), InputError, "exit_code_when_stopped",
                 std::to_string(code), "7 to 125");
  }
}

TEST(Hyperparameters, AValueThatDoesNothingIsRefused) {
  const auto idle = [](const RawHyperparameters& raw, const std::string& name) {
    EXPECT_ERROR(parse(raw), InputError, "hyperparameter " + name + " does nothing in this job");
  };
  idle({{"optimizer", "adamw"}, {"momentum", 0.9}}, "momentum");
  idle({{"beta1", 0.9}}, "beta1");
  idle({{"nesterov", true}, {"momentum", 0}}, "nesterov");
  idle({{"final_learning_rate", 0.1}}, "final_learning_rate");
  idle({{"schedule", "cosine"}, {"schedule_gamma", 0.5}}, "schedule_gamma");
  idle({{"model", "mlp"}, {"model_channels", "8"}}, "model_channels");
  idle({{"model", "some/path.pt2"}, {"model_dropout", 0.5}}, "model_dropout");
  idle({{"synthetic_samples", 10}}, "synthetic_samples");
  idle({{"data", "synthetic"}, {"input_std", 2}}, "input_std");
  idle({{"data", "synthetic"}, {"image_crop", "random"}}, "image_crop");
  idle({{"data", "synthetic"}, {"image_flip", 0.5}}, "image_flip");
  idle({{"data", "synthetic"}, {"image_padding", 4}}, "image_padding");
  idle({{"export", "none"}, {"artifact_state", "last"}}, "artifact_state");
  EXPECT_ERROR(parse({{"schedule", "step"}}), InputError, "schedule_step_size");
}

// What is faster is not the same in every run.
TEST(Hyperparameters, DeterministicNeedsAGivenPrecision) {
  const auto parsed = [](const char* precision, bool deterministic) {
    return parse({{"precision", precision}, {"deterministic", deterministic}});
  };
  EXPECT_ERROR(parsed("auto", true), InputError, "precision=auto", "deterministic=true", "as in precision=bf16");
  EXPECT_EQ(parsed("auto", false).precision, Precision::kAuto);
  EXPECT_TRUE(parsed("bf16", true).deterministic);
}

// One name, and what is usual for each: as PyTorch has it.
TEST(Hyperparameters, OptimizersHaveDefaultsOfTheirOwn) {
  const auto with = [](const RawHyperparameters& raw) { return parse(raw); };
  EXPECT_EQ(with({}).momentum, 0.9);
  EXPECT_EQ(with({{"optimizer", "rmsprop"}}).momentum, 0);
  EXPECT_EQ(with({{"optimizer", "rmsprop"}}).beta2, 0.99);
  EXPECT_EQ(with({{"optimizer", "rmsprop"}, {"momentum", 0.5}}).momentum, 0.5);
  EXPECT_EQ(with({{"optimizer", "muon"}}).momentum, 0.95);
  EXPECT_TRUE(with({{"optimizer", "muon"}}).nesterov);
  EXPECT_FALSE(with({{"optimizer", "muon"}, {"nesterov", false}}).nesterov);
  EXPECT_EQ(with({{"optimizer", "adagrad"}}).epsilon, 1e-10);
  EXPECT_EQ(with({{"optimizer", "lion"}}).beta2, 0.99);
  EXPECT_EQ(with({{"optimizer", "adam"}}).beta2, 0.999);
  EXPECT_EQ(with({{"schedule", "exponential"}}).schedule_gamma, 0.999);
  // What a rank is given is what the launcher read.
  const Hyperparameters muon = with({{"optimizer", "muon"}});
  EXPECT_EQ(hyperparameters_from_json(to_json(muon)).momentum, 0.95);
}

TEST(Hyperparameters, WhatOnlyOneOptimizerOrScheduleReadsIsRefusedBesideOthers) {
  const auto idle = [](const RawHyperparameters& raw, const std::string& name) {
    EXPECT_ERROR(parse(raw), InputError, "hyperparameter " + name + " does nothing in this job");
  };
  idle({{"centered", true}}, "centered");
  idle({{"optimizer", "lion"}, {"epsilon", 1e-6}}, "epsilon");
  idle({{"optimizer", "adam"}, {"adamw_learning_rate", 0.1}}, "adamw_learning_rate");
  idle({{"optimizer", "muon"}, {"momentum", 0}, {"nesterov", true}}, "nesterov");
  idle({{"schedule", "plateau"}, {"schedule_power", 2}}, "schedule_power");
  idle({{"schedule", "one_cycle"}, {"warmup_steps", 5}}, "warmup_steps");
  const json groups = json::parse(R"([{"match": "*", "optimizer": "adamw"}])");
  EXPECT_ERROR(parse({{"parameter_groups", groups}}), InputError, "does nothing", "optimizer=sgd");
  EXPECT_EQ(parse({{"optimizer", "muon"}, {"parameter_groups", groups}}).parameter_groups.at(0).optimizer, "adamw");
  EXPECT_ERROR(parse({{"optimizer", "muon"}, {"parameter_groups", R"([{"match": "*", "optimizer": "sgd"}])"}}),
               InputError, "\"optimizer\"", "\"sgd\"");
  EXPECT_ERROR(parse({{"schedule", "wsd"}}), InputError, "schedule_decay_steps");
  EXPECT_ERROR(parse({{"schedule", "plateau"}, {"schedule_gamma", 1.5}}), InputError, "schedule_gamma");
}

TEST(Hyperparameters, BuiltInProgramsReadWhatTheySay) {
  EXPECT_EQ(parse({}).model_dropout, 0.25);
  EXPECT_EQ(parse({{"model", "vit"}}).model_dropout, 0);
  EXPECT_EQ(parse({{"model", "gpt"}}).model_dropout, 0.1);
  EXPECT_EQ(parse({{"model", "bert"}, {"model_dropout", 0.5}}).model_dropout, 0.5);
  EXPECT_EQ(parse({{"model", "vit"}, {"model_patch_size", 4}}).model_patch_size, 4);
  for (const char* other : {"cnn", "resnet18", "gpt", "some/path.pt2"}) {
    EXPECT_ERROR(parse({{"model", other}, {"model_patch_size", 4}}), InputError, "hyperparameter model_patch_size",
                 "does nothing", other);
  }
  EXPECT_ERROR(parse({{"model", "resnet"}}), InputError, "hyperparameter model", "resnet18", "mlp", ".pt2");
}

TEST(Hyperparameters, ColumnsAreEmbeddedWithAWidthOrACountAndAWidth) {
  const auto embedded = [](const json& value) {
    return parse({{"model", "mlp"}, {"model_embeddings", value}}).model_embeddings;
  };
  const std::map<std::string, EmbeddedColumn> expected = {
      {"city", {.count = 1000, .width = 16}}, {"color", {.width = 4}}, {"kind", {}}};
  EXPECT_EQ(embedded("color=4,city=1000x16,kind"), expected);
  EXPECT_EQ(embedded(json::parse(R"({"color": 4, "city": "1000x16", "kind": ""})")), expected);
  const Hyperparameters again =
      hyperparameters_from_json(to_json(parse({{"model_embeddings", "a=3,b"}, {"model", "mlp"}})));
  EXPECT_EQ(again.model_embeddings, (std::map<std::string, EmbeddedColumn>{{"a", {.width = 3}}, {"b", {}}}));
  for (const char* wrong :
       {"color=-1", "=4", "color,color", "color=x", "color=4x", "color=4x5x6", "color=wide", "color=1.5"}) {
    EXPECT_ERROR(embedded(wrong), InputError, "hyperparameter model_embeddings", "color=4");
  }
}

// What is registered is the engine's affair: names that are not built in come as far as any.
TEST(Hyperparameters, LossesAndMetricsAreNames) {
  const Hyperparameters parsed =
      parse({{"loss", "huber"}, {"label_smoothing", 0.1}, {"monitor", "f1:max"}, {"metrics", "recall,f1"}});
  EXPECT_EQ(parsed.loss, "huber");
  EXPECT_EQ(parsed.monitor.metric, "f1");
  EXPECT_EQ(parsed.metrics, (std::vector<std::string>{"recall", "f1"}));
  EXPECT_ERROR(parse({{"loss", "mean loss"}}), InputError, "hyperparameter loss", "the name of a loss");
}

TEST(HyperparameterKinds, NumbersMayHaveNoBounds) {
  const Range any{.least = std::numeric_limits<double>::lowest()};
  const HyperparameterRow row = reals("class_weights", &Hyperparameters::class_weights, any, "Any.");
  EXPECT_EQ(row.type, "list of numbers");
  EXPECT_EQ(reals("class_weights", &Hyperparameters::class_weights, kShare, "A share.").type,
            "list of numbers ≥ 0 and < 1");
  Hyperparameters hyperparameters;
  row.set(hyperparameters, RawValue("-1,2"));
  EXPECT_EQ(hyperparameters.class_weights, (std::vector<double>{-1, 2}));
}

TEST(Hyperparameters, JsonRoundTripIsExact) {
  const Hyperparameters hyperparameters =
      parse({{"learning_rate", "0.1000000000000000055511151231257827"},
             {"momentum", 1.0 / 3},
             {"seed", 9007199254740993},
             {"model_hidden", "[]"},
             {"export", "none"},
             {"monitor", "top5:max"},
             {"schedule", "cosine"},
             {"parameter_groups", R"([{"match": "*.bias", "weight_decay": 1e-300}])"}});
  const Hyperparameters again = hyperparameters_from_json(json::parse(to_json(hyperparameters).dump()));
  EXPECT_EQ(to_json(again), to_json(hyperparameters));
  EXPECT_EQ(again.momentum, 1.0 / 3);
  EXPECT_EQ(again.seed, 9007199254740993u);
}

TEST(Hyperparameters, EveryOneIsDescribedAndItsDefaultParses) {
  std::set<std::string> names;
  for (const HyperparameterDescription& row : describe_hyperparameters()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(row.help.ends_with(".")) << row.name;
    RawHyperparameters raw = {{row.name, row.default_value}};
    // Defaults of what only another choice uses are refused for that reason and no other.
    try {
      EXPECT_EQ(to_json(parse(raw)), to_json(Hyperparameters())) << row.name;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find("does nothing"), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(names.size(), to_json(Hyperparameters()).size());
}

TEST(JobConfig, RoundTripKeepsHostileTexts) {
  JobConfig config;
  config.job_name = "naïve ☃ \"it's\" $HOME; echo hi\n";
  config.host = "algo-1";
  config.channels = {{"train-images.v1", "/data/with space/and 'quote'"}, {"-dash", "/--flag=like"}};
  config.model_dir = "/m";
  config.checkpoint_dir = "/c";
  config.output_dir = "/o";
  config.output_data_dir = "/o/data";
  config.threads = 3;
  config.terminal = true;
  config.given = {"seed"};
  config.hyperparameters.seed = 7;
  const JobConfig again = read_job_config(write_job_config(config));
  EXPECT_EQ(again.job_name, config.job_name);
  EXPECT_EQ(again.channels, config.channels);
  EXPECT_EQ(again.checkpoint_dir, "/c");
  EXPECT_EQ(again.threads, 3);
  EXPECT_TRUE(again.terminal);
  EXPECT_EQ(again.hyperparameters.seed, 7);
  EXPECT_EQ(again.given, config.given);
  EXPECT_EQ(write_job_config(again), write_job_config(config));
}

TEST(JobConfig, RefusesOtherDocuments) {
  EXPECT_ERROR(read_job_config("{}"), InputError, "not a job");
  EXPECT_ERROR(read_job_config("]"), InputError, "not a job");
  JobConfig config;
  config.job_name = "\xff";
  EXPECT_ERROR(write_job_config(config), InputError, "UTF-8");
}

}  // namespace
}  // namespace lockstep
