#include "launch/Job.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "launch/Topology.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

/// A base directory as a container has it.
class Container {
 public:
  void config(const std::string& name, const std::string& text) {
    fs::create_directories(directory_ / "input/config");
    std::ofstream(directory_ / ("input/config/" + name)) << text;
  }
  JobEnvironment read(const Environment& environment = {}) const {
    return read_job_environment(environment, directory_.path());
  }
  fs::path operator/(const std::string& name) const { return directory_ / name; }

 private:
  TemporaryDirectory directory_;
};

// Of a real job on two hosts.
constexpr const char* kResources =
    R"({"current_host":"algo-2","current_instance_type":"ml.p4d.24xlarge","current_group_name":"homogeneousCluster",
        "hosts":["algo-1","algo-10","algo-2"],"instance_groups":[{"instance_group_name":"homogeneousCluster",
        "instance_type":"ml.p4d.24xlarge","hosts":["algo-2","algo-10","algo-1"]}],"network_interface_name":"eth0","topology":null})";
constexpr const char* kInputs =
    R"({"train-images":{"ContentType":"application/x-recordio","TrainingInputMode":"File","S3DistributionType":"ShardedByS3Key"},
        "validation":{"TrainingInputMode":"FastFile"}})";

// As real jobs, and SageMaker's local mode, have it.
constexpr const char* kFourP4d =
    R"({"current_host":"algo-2","current_instance_type":"ml.p4d.24xlarge","current_group_name":"homogeneousCluster",
        "hosts":["algo-1","algo-2","algo-3","algo-4"],"instance_groups":[{"instance_group_name":"homogeneousCluster",
        "instance_type":"ml.p4d.24xlarge","hosts":["algo-3","algo-1","algo-4","algo-2"]}],"network_interface_name":"eth0","topology":null})";
constexpr const char* kHeterogeneous =
    R"({"current_host":"algo-3","current_instance_type":"ml.p3dn.24xlarge","current_group_name":"gpu",
        "hosts":["algo-1","algo-2","algo-3"],"instance_groups":[
          {"instance_group_name":"cpu","instance_type":"ml.c5.18xlarge","hosts":["algo-2"]},
          {"instance_group_name":"gpu","instance_type":"ml.p3dn.24xlarge","hosts":["algo-3","algo-1"]}],"network_interface_name":"eth0"})";
constexpr const char* kLocalMode =
    R"({"current_host":"algo-2-x9k2m","current_instance_type":"local_gpu","current_group_name":"homogeneousCluster",
        "hosts":["algo-1-abcde","algo-2-x9k2m"],"instance_groups":[{"instance_group_name":"homogeneousCluster",
        "instance_type":"local_gpu","hosts":["algo-1-abcde","algo-2-x9k2m"]}],"network_interface_name":"eth0"})";
constexpr const char* kMinimal = R"({"current_host":"algo-1","hosts":["algo-1","algo-2"]})";
constexpr const char* kTwelve =
    R"({"current_host":"algo-12","hosts":["algo-1","algo-10","algo-11","algo-12","algo-2","algo-3","algo-4","algo-5","algo-6",
        "algo-7","algo-8","algo-9"],"topology":[{"hostName":"algo-1","capacityUnitId":"cu-1"}]})";

/// The same heterogeneous job as kHeterogeneous, as SageMaker's toolkit exports it on algo-3.
const Environment kHeterogeneousVariables = {
    {"SM_CURRENT_HOST", "algo-3"},
    {"SM_HOSTS", R"(["algo-1","algo-2","algo-3"])"},
    {"SM_CURRENT_INSTANCE_GROUP", "gpu"},
    {"SM_CURRENT_INSTANCE_TYPE", "ml.p3dn.24xlarge"},
    {"SM_INSTANCE_GROUPS_DICT",
     R"({"cpu":{"hosts":["algo-2"],"instance_group_name":"cpu","instance_type":"ml.c5.18xlarge"},
         "gpu":{"hosts":["algo-3","algo-1"],"instance_group_name":"gpu","instance_type":"ml.p3dn.24xlarge"}})"},
    {"SM_NETWORK_INTERFACE_NAME", "eth0"},
    {"SM_NUM_GPUS", "0"}};

JobEnvironment with_resources(const std::string& resources, const Environment& environment = {}) {
  Container container;
  container.config("resourceconfig.json", resources);
  return container.read(environment);
}

TEST(NaturalLess, CountsDigitsAsNumbers) {
  std::vector<std::string> hosts = {"algo-10", "algo-2", "algo-1", "b", "algo-2-x", "algo-02", "algo"};
  std::ranges::sort(hosts, natural_less);
  EXPECT_EQ(hosts, (std::vector<std::string>{"algo", "algo-1", "algo-02", "algo-2", "algo-2-x", "algo-10", "b"}));
  EXPECT_FALSE(natural_less("algo-1", "algo-1"));
  EXPECT_TRUE(natural_less("a99999999999999999999999", "a100000000000000000000000"));
}

TEST(JobEnvironment, NothingAtAllIsOneHost) {
  const Container container;
  const JobEnvironment job = container.read();
  EXPECT_FALSE(job.container);
  EXPECT_EQ(job.hosts, (std::vector<std::string>{"localhost"}));
  EXPECT_EQ(job.current_host, "localhost");
  EXPECT_TRUE(job.model_dir.empty());
}

TEST(JobEnvironment, ReadsTheFilesOfABareContainer) {
  Container container;
  container.config("resourceconfig.json", kResources);
  container.config("inputdataconfig.json", kInputs);
  container.config("hyperparameters.json", R"({"epochs":"5","optimizer":"\"adamw\"","sagemaker_program":"\"train\""})");
  const JobEnvironment job = container.read({{"TRAINING_JOB_NAME", "probe-job"}});
  EXPECT_TRUE(job.container);
  EXPECT_EQ(job.job_name, "probe-job");
  EXPECT_EQ(job.current_host, "algo-2");
  EXPECT_EQ(job.hosts, (std::vector<std::string>{"algo-1", "algo-2", "algo-10"}));
  EXPECT_EQ(job.channels.at("train-images"), container / "input/data/train-images");
  EXPECT_EQ(job.channels.at("validation"), container / "input/data/validation");
  EXPECT_EQ(job.model_dir, container / "model");
  EXPECT_EQ(job.output_data_dir, container / "output/data");
  EXPECT_EQ(job.hyperparameters.at("epochs"), "5");
}

TEST(JobEnvironment, VariablesWinOverFiles) {
  Container container;
  container.config("resourceconfig.json", kResources);
  container.config("inputdataconfig.json", kInputs);
  container.config("hyperparameters.json", R"({"epochs":"5","seed":"1"})");
  const JobEnvironment job = container.read({{"SM_HOSTS", R"(["algo-1"])"},
                                             {"SM_CURRENT_HOST", "algo-1"},
                                             {"SM_NUM_GPUS", "8"},
                                             {"SM_CHANNELS", R"(["train-images","test"])"},
                                             {"SM_CHANNEL_TRAIN-IMAGES", "/elsewhere"},
                                             {"SM_CHANNEL_EXTRA", "/extra"},
                                             {"SM_MODEL_DIR", "/m"},
                                             {"SM_HPS", R"({"epochs":7,"batch_size":32})"},
                                             {"SM_HP_BATCH_SIZE", "16"}});
  EXPECT_EQ(job.hosts, (std::vector<std::string>{"algo-1"}));
  EXPECT_EQ(job.gpus, 8);
  EXPECT_EQ(job.channels.at("train-images"), "/elsewhere");
  EXPECT_EQ(job.channels.at("test"), container / "input/data/test");
  EXPECT_EQ(job.channels.at("extra"), "/extra");
  EXPECT_FALSE(job.channels.contains("validation"));
  EXPECT_EQ(job.model_dir, "/m");
  EXPECT_EQ(job.output_dir, container / "output");
  EXPECT_EQ(job.hyperparameters.at("epochs"), 7);
  EXPECT_EQ(job.hyperparameters.at("batch_size"), "16");
  EXPECT_EQ(job.hyperparameters.at("seed"), "1");
}

TEST(JobEnvironment, ToleratesMissingNullAndUnknownKeys) {
  Container container;
  container.config("resourceconfig.json", R"({"current_host":null,"hosts":["algo-1"],"future":{"a":[1]}})");
  container.config("inputdataconfig.json", "{}");
  container.config("hyperparameters.json", "{}");
  EXPECT_EQ(container.read().current_host, "algo-1");
  container.config("resourceconfig.json", "{}");
  EXPECT_EQ(container.read().hosts, (std::vector<std::string>{"localhost"}));
}

TEST(JobEnvironment, AnEmptyVariableIsNone) {
  Container container;
  container.config("resourceconfig.json", kResources);
  const JobEnvironment job =
      container.read({{"SM_HOSTS", ""}, {"SM_NUM_GPUS", ""}, {"SM_MODEL_DIR", ""}, {"SM_HP_EPOCHS", ""}});
  EXPECT_EQ(job.hosts.size(), 3);
  EXPECT_FALSE(job.gpus);
  EXPECT_EQ(job.model_dir, container / "model");
  EXPECT_TRUE(job.hyperparameters.empty());
}

TEST(JobEnvironment, ReadsEveryFormOfTheResourceConfiguration) {
  using Names = std::vector<std::string>;
  const JobEnvironment four = with_resources(kFourP4d);
  EXPECT_EQ(four.hosts, (Names{"algo-1", "algo-2", "algo-3", "algo-4"}));
  ASSERT_EQ(four.instance_groups.size(), 1);
  EXPECT_EQ(four.instance_groups[0].name, "homogeneousCluster");
  EXPECT_EQ(four.instance_type, "ml.p4d.24xlarge");
  EXPECT_EQ(four.network_interface, "eth0");
  for (const JobEnvironment& mixed : {with_resources(kHeterogeneous), Container().read(kHeterogeneousVariables)}) {
    EXPECT_EQ(mixed.current_host, "algo-3");
    EXPECT_EQ(mixed.hosts, (Names{"algo-1", "algo-2", "algo-3"}));
    ASSERT_EQ(mixed.instance_groups.size(), 2);
    EXPECT_EQ(mixed.instance_groups[0].instance_type, "ml.c5.18xlarge");
    EXPECT_EQ(mixed.instance_groups[1].name, "gpu");
    EXPECT_EQ(mixed.instance_groups[1].hosts, (Names{"algo-3", "algo-1"}));
    EXPECT_EQ(mixed.instance_type, "ml.p3dn.24xlarge");
    EXPECT_EQ(mixed.network_interface, "eth0");
  }
  const JobEnvironment local = with_resources(kLocalMode);
  EXPECT_EQ(local.hosts, (Names{"algo-1-abcde", "algo-2-x9k2m"}));
  EXPECT_EQ(local.instance_type, "local_gpu");
  const JobEnvironment minimal = with_resources(kMinimal);
  EXPECT_EQ(minimal.hosts, (Names{"algo-1", "algo-2"}));
  EXPECT_TRUE(minimal.instance_groups.empty());
  EXPECT_EQ(minimal.instance_type + minimal.network_interface, "");
  const JobEnvironment twelve = with_resources(kTwelve);
  EXPECT_EQ(twelve.hosts.at(1), "algo-2");
  EXPECT_EQ(twelve.hosts.back(), "algo-12");
}

TEST(JobEnvironment, AHostWithoutATypeHasItsGroups) {
  const auto type = [](const std::string& more, const Environment& environment = {}) {
    return with_resources(R"({"current_host":"b","hosts":["a","b"],"instance_groups":)" + more + "}", environment)
        .instance_type;
  };
  EXPECT_EQ(type(R"([{"instance_type":"x","hosts":["a"]},{"instance_type":"y","hosts":["b"]}])"), "y");
  const std::string unlisted =
      R"([{"instance_group_name":"g","instance_type":"x","hosts":null},{"instance_group_name":"h","instance_type":"y"}])";
  EXPECT_EQ(type(unlisted), "");
  EXPECT_EQ(type(unlisted + R"(,"current_group_name":"g")"), "x");
  EXPECT_EQ(type(unlisted + R"(,"current_group_name":"g")", {{"SM_CURRENT_INSTANCE_GROUP", "h"}}), "y");
  EXPECT_EQ(type(unlisted + R"(,"current_instance_type":"z")"), "z");
  EXPECT_EQ(type(unlisted, {{"SM_CURRENT_INSTANCE_TYPE", "v"}}), "v");
  EXPECT_EQ(type("null"), "");
}

TEST(JobEnvironment, AVariableThatRepeatsAFileCountsWhereThereIsNone) {
  const Environment copies = {{"SM_RESOURCE_CONFIG", kFourP4d},
                              {"SM_INPUT_DATA_CONFIG", R"({"train":{"TrainingInputMode":"Pipe"}})"}};
  const JobEnvironment none = Container().read(copies);
  EXPECT_EQ(none.current_host, "algo-2");
  EXPECT_TRUE(none.piped_channels.contains("train"));
  Container container;
  container.config("resourceconfig.json", kMinimal);
  container.config("inputdataconfig.json", "{}");
  EXPECT_EQ(container.read(copies).current_host, "algo-1");
  EXPECT_TRUE(container.read(copies).channels.empty());
  EXPECT_EQ(with_resources(kFourP4d, {{"SM_NETWORK_INTERFACE_NAME", "eth1"}}).network_interface, "eth1");
  EXPECT_ERROR(Container().read({{"SM_RESOURCE_CONFIG", "{"}}), InputError, "the variable SM_RESOURCE_CONFIG",
               "not JSON");
}

TEST(JobEnvironment, InputMayBeElsewhere) {
  Container container;
  container.config("inputdataconfig.json", kInputs);
  const std::string input = (container / "input").string();
  const std::string base = (container / "another base").string();
  const JobEnvironment moved = read_job_environment({{"SM_INPUT_DIR", input}}, base);
  EXPECT_EQ(moved.channels.at("validation"), container / "input/data/validation");
  EXPECT_EQ(moved.model_dir, base + "/model");
  const JobEnvironment config = read_job_environment({{"SM_INPUT_CONFIG_DIR", input + "/config"}}, base);
  EXPECT_EQ(config.channels.at("validation"), base + "/input/data/validation");
}

TEST(JobEnvironment, ChannelsComeFromTheFileWhateverLiesInTheDirectory) {
  Container container;
  fs::create_directories(container / "input/data/train-images.v1");
  std::ofstream(container / "input/data/train-images.v1-manifest") << "{}";
  container.config(
      "inputdataconfig.json",
      R"({"train-images.v1":{"ContentType":"text/csv;label_size=0"},"a.b-c_d":{"S3DistributionType":"ShardedByS3Key","RecordWrapperType":"None"}})");
  // A shell between the toolkit and this program drops variables whose name holds a dash.
  const JobEnvironment job =
      container.read({{"SM_CHANNELS", R"(["a.b-c_d","train-images.v1"])"}, {"SM_CHANNEL_X", ""}});
  EXPECT_EQ(job.channels,
            (std::map<std::string, fs::path>{{"a.b-c_d", container / "input/data/a.b-c_d"},
                                             {"train-images.v1", container / "input/data/train-images.v1"}}));
  EXPECT_EQ(job.sharded_channels, (std::set<std::string>{"a.b-c_d"}));
  EXPECT_EQ(job.content_types, (std::map<std::string, std::string>{{"train-images.v1", "text/csv;label_size=0"}}));
}

TEST(JobEnvironment, KnowsWhereToSayWhatItCannotRead) {
  Container container;
  EXPECT_FALSE(container_output_dir({}, container / ""));
  EXPECT_EQ(container_output_dir({{"SM_OUTPUT_DIR", "/o"}}, container / ""), "/o");
  container.config("hyperparameters.json", "{");
  EXPECT_EQ(container_output_dir({{"SAGEMAKER_BASE_DIR", (container / "").string()}}, {}), container / "output");
}

TEST(JobEnvironment, AConfigurationThatCannotBeReachedIsNotAMissingOne) {
  Container container;
  container.config("resourceconfig.json", kResources);
  fs::remove(container / "input/config/resourceconfig.json");
  fs::create_symlink("resourceconfig.json", container / "input/config/resourceconfig.json");  // to itself
  EXPECT_ERROR(container.read(), InputError, "resourceconfig.json");
  for (const char* name : {"hyperparameters.json", "inputdataconfig.json", "checkpointconfig.json"}) {
    Container other;
    other.config(name, "{}");
    fs::remove(other / "input/config" / name);
    fs::create_symlink("gone", other / "input/config" / name);
    EXPECT_ERROR(other.read(), InputError, name, "a link to gone", "not there");
  }
  const TemporaryDirectory base;
  fs::create_directory(base / "input");
  fs::create_symlink("/proc/none", base / "input/config");
  EXPECT_EQ(container_output_dir({}, base.path()), base / "output");
  EXPECT_ERROR(read_job_environment({}, base.path()), InputError, "input/config", "not there");
}

TEST(JobEnvironment, RefusesWhatTheContractDoesNotAllow) {
  Container container;
  container.config("resourceconfig.json", R"({"hosts": [)");
  EXPECT_ERROR(container.read(), InputError, "resourceconfig.json", "not JSON");
  container.config("resourceconfig.json", "[]");
  EXPECT_ERROR(container.read(), InputError, "resourceconfig.json", "object");
  container.config("resourceconfig.json", R"({"hosts": "algo-1"})");
  EXPECT_ERROR(container.read(), InputError, "hosts", "list of texts");
  container.config("resourceconfig.json", R"({"current_host":"algo-3","hosts":["algo-1","algo-2"]})");
  EXPECT_ERROR(container.read(), InputError, "algo-3", "algo-1, algo-2");
  container.config("resourceconfig.json", R"({"hosts":["algo-1","algo-1"]})");
  EXPECT_ERROR(container.read(), InputError, "algo-1 twice");
  container.config("resourceconfig.json", R"({"instance_groups":{"gpu":["algo-1"]}})");
  EXPECT_ERROR(container.read(), InputError, "resourceconfig.json: instance_groups", "list");
  container.config("resourceconfig.json", R"({"instance_groups":[{"hosts":"algo-1"}]})");
  EXPECT_ERROR(container.read(), InputError, "instance_groups: hosts", "list of texts");
  container.config("resourceconfig.json", "{}");
  container.config("inputdataconfig.json", R"({"train":"File"})");
  EXPECT_ERROR(container.read(), InputError, "inputdataconfig.json: train", "object");
  container.config("inputdataconfig.json", "{}");
  EXPECT_ERROR(container.read({{"SM_NUM_GPUS", "many"}}), InputError, "SM_NUM_GPUS", "many");
  EXPECT_ERROR(container.read({{"SM_HPS", "{'a': 1}"}}), InputError, "SM_HPS");
}

TEST(JobEnvironment, ReadsWhereCheckpointsGo) {
  Container container;
  EXPECT_EQ(container.read().checkpoint_dir, "");
  container.config("checkpointconfig.json", R"({"S3Uri":"s3://bucket/x","LocalPath":"/opt/ml/checkpoints"})");
  EXPECT_EQ(container.read().checkpoint_dir, "/opt/ml/checkpoints");
  container.config("checkpointconfig.json", R"({"LocalPath":null})");
  EXPECT_EQ(container.read().checkpoint_dir, "");
  container.config("checkpointconfig.json", R"({"LocalPath":3})");
  EXPECT_ERROR(container.read(), InputError, "checkpointconfig.json", "LocalPath");
}

TEST(CheckJob, CheckpointsNeedAPlaceOutsideTheModelDirectory) {
  const auto check = [](const std::vector<std::string>& flags) {
    Job job = gather_job(Container().read(), parse_job_arguments(flags));
    check_job(job);
    return job.config.checkpoint_dir;
  };
  EXPECT_EQ(check({"--checkpoint_every", "none"}), "");
  EXPECT_EQ(check({"--checkpoint_every", "5", "--checkpoint-dir=/c", "--checkpoint_keep", "3"}), "/c");
  for (const char* name : {"checkpoint_every", "checkpoint_keep"}) {
    EXPECT_ERROR(check({std::string("--") + name, "5"}), InputError, name, "--checkpoint_dir");
  }
  EXPECT_ERROR(check({"--resume", "never"}), InputError, "resume", "--checkpoint_dir");
  EXPECT_ERROR(check({"--model_dir", "/m", "--checkpoint_dir", "/m/../m/c"}), InputError, "/m", "model directory");
  EXPECT_EQ(check({"--model_dir", "/m", "--checkpoint_dir", "/m2"}), "/m2");
}

TEST(JobArguments, FlagsInEverySpelling) {
  const JobArguments arguments = parse_job_arguments(
      {"job.json", "--batch_size", "64", "--batch-size=32", "--channel", "train=/a=b", "--channel=test=/c",
       "--model_dir", "/m", "--base-dir", "/b", "--note", "-x --y 'z' \"q\" $HOME ☃\n", "--print-config"});
  EXPECT_EQ(arguments.job_file, "job.json");
  EXPECT_EQ(arguments.hyperparameters.at("batch_size"), "32");
  EXPECT_EQ(arguments.channels.at("train"), "/a=b");
  EXPECT_EQ(arguments.channels.at("test"), "/c");
  EXPECT_EQ(arguments.directories.at("model_dir"), "/m");
  EXPECT_EQ(arguments.base_dir, "/b");
  EXPECT_EQ(arguments.hyperparameters.at("note"), "-x --y 'z' \"q\" $HOME ☃\n");
  EXPECT_TRUE(arguments.print_config);
}

// As captured from SageMaker's toolkit, which writes a text as it is, None as an empty one, and all else in Python's
// repr.
TEST(JobArguments, OfSageMakersToolkit) {
  const JobArguments arguments = parse_job_arguments({"--batch-size", "32",
                                                      "--big",        "12345678901234567890",
                                                      "--empty",      "",
                                                      "--epochs",     "5",
                                                      "--flag",       "True",
                                                      "--layers",     "[64, 128, 'x']",
                                                      "--lr",         "0.001",
                                                      "--nested",     "a={'b': 1.5},c=True",
                                                      "--note",       "naïve café ☃ it's $HOME; echo hi",
                                                      "--nothing",    "",
                                                      "--optimizer",  "adam w",
                                                      "--rawstring",  "hello world",
                                                      "--sci",        "1e-05",
                                                      "-x",           "1"});
  EXPECT_EQ(arguments.hyperparameters, (RawHyperparameters{{"batch_size", "32"},
                                                           {"big", "12345678901234567890"},
                                                           {"empty", ""},
                                                           {"epochs", "5"},
                                                           {"flag", "True"},
                                                           {"layers", "[64, 128, 'x']"},
                                                           {"lr", "0.001"},
                                                           {"nested", "a={'b': 1.5},c=True"},
                                                           {"note", "naïve café ☃ it's $HOME; echo hi"},
                                                           {"nothing", ""},
                                                           {"optimizer", "adam w"},
                                                           {"rawstring", "hello world"},
                                                           {"sci", "1e-05"},
                                                           {"x", "1"}}));
  Job job = gather_job(Container().read(), parse_job_arguments({"--epochs", "", "--nesterov", "True"}));
  check_job(job);
  EXPECT_EQ(job.config.hyperparameters.epochs, Hyperparameters().epochs);
  EXPECT_TRUE(job.config.hyperparameters.nesterov);
}

// Names that hold nothing, and names that stand for something else to mpirun.
TEST(JobArguments, HostsAreNames) {
  const auto hosts = [](const std::string& value) {
    return gather_job(Container().read(), parse_job_arguments({"--hosts", value})).hosts;
  };
  EXPECT_EQ(hosts("b, a"), (std::vector<std::string>{"a", "b"}));
  for (const char* none : {",", "", "a,", "a,,b", " ", "a b,c", "a:2,b", "-x,b", "a/b"}) {
    EXPECT_ERROR(hosts(none), InputError, "--hosts: expected names of hosts");
  }
  EXPECT_ERROR(hosts("a,b,a"), InputError, "--hosts", "a twice");
  EXPECT_ERROR(with_resources(R"({"current_host":"a","hosts":["a",""]})"), InputError, "expected names of hosts");
}

TEST(JobArguments, TheOutputDirectoryIsFoundAmongWhatIsRefused) {
  EXPECT_EQ(output_dir_among({"a.json", "b.json", "--output_dir", "/o"}), "/o");
  EXPECT_EQ(output_dir_among({"--output-dir=/p", "--epochs"}), "/p");
  EXPECT_EQ(output_dir_among({"--epochs", "--output_dir"}), std::nullopt);
}

TEST(JobArguments, RefusesWhatItCannotRead) {
  EXPECT_ERROR(parse_job_arguments({"a.json", "b.json"}), InputError, "a.json", "b.json");
  EXPECT_ERROR(parse_job_arguments({"--epochs"}), InputError, "--epochs", "value");
  EXPECT_ERROR(parse_job_arguments({"--channel", "train"}), InputError, "NAME=DIRECTORY");
  EXPECT_ERROR(parse_job_arguments({"-x"}), InputError, "-x needs a value");
  EXPECT_ERROR(parse_job_arguments({"-xy"}), InputError, "unknown flag \"-xy\"");
  EXPECT_ERROR(parse_job_arguments({"--"}), InputError, "unknown flag \"--\"");
  EXPECT_ERROR(parse_job_arguments({"--model_dir="}), InputError, "--model_dir needs a value");
}

TEST(GatherJob, FlagsWinOverTheFileAndTheFileOverTheContainer) {
  Container container;
  container.config("hyperparameters.json", R"({"epochs":"1","seed":"1","batch_size":"1"})");
  const TemporaryDirectory elsewhere;
  std::ofstream(elsewhere / "job.json")
      << R"({"epochs": 2, "seed": 2, "channels": {"train": "data/train"}, "model_dir": "out", "checkpoint_dir": "c",
          "model": "m.pt2"})";
  const Job job =
      gather_job(container.read(),
                 parse_job_arguments({(elsewhere / "job.json").string(), "--epochs", "3", "--output_dir", "/o"}));
  EXPECT_EQ(job.hyperparameters.at("epochs"), "3");
  EXPECT_EQ(job.hyperparameters.at("seed"), 2);
  EXPECT_EQ(job.hyperparameters.at("batch_size"), "1");
  EXPECT_EQ(job.hyperparameters.at("model"), (elsewhere / "m.pt2").string());
  EXPECT_EQ(job.config.channels.at("train"), elsewhere / "data/train");
  EXPECT_EQ(job.config.model_dir, elsewhere / "out");
  EXPECT_EQ(job.config.checkpoint_dir, elsewhere / "c");
  EXPECT_EQ(job.config.output_dir, "/o");
  EXPECT_EQ(job.config.output_data_dir, "/o/data");
}

TEST(GatherJob, RefusesAJobFileThatIsNone) {
  const TemporaryDirectory directory;
  const auto gather = [&](const std::string& text) {
    std::ofstream(directory / "job.json") << text;
    return gather_job(Container().read(), parse_job_arguments({(directory / "job.json").string()}));
  };
  EXPECT_ERROR(gather("{\"epochs\": 3,"), InputError, "job.json", "not JSON");
  EXPECT_ERROR(gather("[]"), InputError, "job.json", "object");
  EXPECT_ERROR(gather(R"({"channels": ["a"]})"), InputError, "job.json", "channels");
  EXPECT_ERROR(gather(R"({"model_dir": ""})"), InputError, "model_dir", "path");
  EXPECT_ERROR(gather(R"({"model_dir": "s3://bucket"})"), InputError, "model_dir", "path on this host");
  EXPECT_ERROR(gather("{\"epochs\": " + std::string(300'000, '[') + std::string(300'000, ']') + "}"), InputError,
               "job.json", "deep");
  Job job = gather(R"({"chanels": {}})");
  EXPECT_ERROR(check_job(job), InputError, "chanels", "did you mean channels?");
}

// They follow --output_dir, in a container too, unless something names their own directory.
TEST(GatherJob, MetricsGoBelowTheOutputDirectoryThatIsGiven) {
  Container container;
  container.config("hyperparameters.json", "{}");
  const TemporaryDirectory directory;
  const auto metrics = [&](const std::string& file, const std::vector<std::string>& flags = {},
                           const Environment& environment = {}) {
    std::ofstream(directory / "job.json") << file;
    std::vector<std::string> words = {(directory / "job.json").string()};
    words.insert(words.end(), flags.begin(), flags.end());
    return gather_job(container.read(environment), parse_job_arguments(words)).config.output_data_dir;
  };
  EXPECT_EQ(metrics("{}"), container / "output/data");
  EXPECT_EQ(metrics("{}", {"--output_dir", "/o"}), "/o/data");
  EXPECT_EQ(metrics("{}", {"--output_dir", "/o"}, {{"SM_OUTPUT_DATA_DIR", "/v"}}), "/o/data");
  EXPECT_EQ(metrics("{}", {"--output_dir", "/o", "--output_data_dir", "/d"}), "/d");
  EXPECT_EQ(metrics(R"({"output_dir": "o"})"), directory / "o/data");
  EXPECT_EQ(metrics(R"({"output_dir": "o"})", {"--output_dir", "/o"}), "/o/data");
  EXPECT_EQ(metrics(R"({"output_data_dir": "d"})", {"--output_dir", "/o"}), directory / "d");
  EXPECT_EQ(metrics("{}", {}, {{"SM_OUTPUT_DATA_DIR", "/v"}}), "/v");
}

// s3:// and the like, wherever a directory of this host is meant.
TEST(GatherJob, AddressesAreNoDirectories) {
  Container container;
  container.config("checkpointconfig.json", R"({"S3Uri":"s3://bucket/x","LocalPath":"s3://bucket/x"})");
  EXPECT_ERROR(container.read(), InputError, "checkpointconfig.json: LocalPath", "directory on this host",
               "s3://bucket/x");
  EXPECT_ERROR(Container().read({{"SM_MODEL_DIR", "s3://b/m"}}), InputError, "SM_MODEL_DIR", "s3://b/m");
  EXPECT_ERROR(Container().read({{"SM_OUTPUT_DIR", "s3://b/o"}}), InputError, "SM_OUTPUT_DIR", "s3://b/o");
  EXPECT_ERROR(read_job_environment({}, "s3://b"), InputError, "base directory", "s3://b");
  const auto gather = [](const std::vector<std::string>& flags, const Environment& environment = {}) {
    return gather_job(Container().read(environment), parse_job_arguments(flags));
  };
  for (const char* name : {"checkpoint_dir", "output_dir", "output_data_dir"}) {
    EXPECT_ERROR(gather({std::string("--") + name, "gs://b/x"}), InputError, name, "gs://b/x");
  }
  EXPECT_ERROR(gather({"--channel", "train=s3://b/x"}), InputError, "\"train\"", "s3://b/x");
  EXPECT_ERROR(gather({}, {{"SM_CHANNEL_TRAIN", "s3://b/x"}}), InputError, "\"train\"", "s3://b/x");
  EXPECT_EQ(container_output_dir({{"SM_OUTPUT_DIR", "s3://b/o"}}, "/base"), "/base/output");
  EXPECT_TRUE(is_address("hdfs://x") && !is_address("/a/b") && !is_address("://x") && !is_address("a/b://c"));
}

TEST(GatherJob, AJobHasANameFromAFlagToo) {
  EXPECT_EQ(gather_job(Container().read({{"TRAINING_JOB_NAME", "a"}}), parse_job_arguments({"--job_name", "x"}))
                .config.job_name,
            "x");
}

// What a flag or a job file has is not to be suggested where it was given.
TEST(CheckJob, SaysWhereWhatIsNoHyperparameterBelongs) {
  const auto check = [](const RawHyperparameters& hyperparameters) {
    Job job;
    job.hosts = {"localhost"};
    job.hyperparameters = hyperparameters;
    check_job(job);
  };
  EXPECT_ERROR(check({{"channels", "x"}}), InputError, "\"channels\"", "no hyperparameter", "--channel NAME=DIR");
  EXPECT_ERROR(check({{"checkpoint_dir", "/c"}}), InputError, "\"checkpoint_dir\"", "LocalPath");
  EXPECT_ERROR(check({{"hosts", "a,b"}}), InputError, "--hosts A,B");
  EXPECT_ERROR(check({{"job_nam", "x"}}), InputError, "did you mean job_name?");
  try {
    check({{"epochs", nlohmann::json::parse(R"([[1, 2], {"a": ")" + std::string(10000, 'x') + "\"}]")}});
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_LT(std::string(error.what()).size(), 300);
  }
}

// The second way to give a secret, for jobs whose environment does not arrive.
TEST(CheckJob, ReadsTheSecretFile) {
  const TemporaryDirectory directory;
  const auto secret = [&](const std::string& content, const Environment& environment = {}) {
    std::ofstream(directory / "secret") << content;
    std::ofstream(directory / "job.json") << R"({"secret_file": "secret"})";
    Job job = gather_job(Container().read(environment), parse_job_arguments({(directory / "job.json").string()}));
    check_job(job);
    return job.secret;
  };
  EXPECT_EQ(secret("s\n", {{"LOCKSTEP_JOB_SECRET", "another"}}), "s");
  EXPECT_EQ(secret("s \n\n"), "s \n");
  EXPECT_ERROR(secret(""), InputError, "secret_file", "is empty");
  EXPECT_ERROR(secret("\n"), InputError, "secret_file", "is empty");
  EXPECT_ERROR(secret("\xff\xfe"), InputError, "secret_file", "UTF-8");
  EXPECT_ERROR(secret(std::string(5000, 'x')), InputError, "secret_file", "5000 bytes; at most 4096");
  Job job = gather_job(Container().read({{"LOCKSTEP_JOB_SECRET", "of the environment"}}), {});
  check_job(job);
  EXPECT_EQ(job.secret, "of the environment");

  const auto with = [&](const std::string& file, const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = {"--secret_file", file};
    flags.insert(flags.end(), more.begin(), more.end());
    Job made = gather_job(Container().read(), parse_job_arguments(flags));
    check_job(made);
    return made;
  };
  EXPECT_ERROR(with(directory.path().string()), InputError, "secret_file", "not a regular file");
  const Job absent = with((directory / "none").string());
  EXPECT_ERROR(require_present(absent.absent), InputError, "secret_file", "none", "is not there");
  // In a channel, which synthetic data would refuse otherwise.
  std::ofstream(directory / "secret") << "in a channel";
  const std::vector<std::string> synthetic = {"--data", "synthetic", "--channel",
                                              "secret=" + directory.path().string()};
  EXPECT_EQ(with((directory / "secret").string(), synthetic).secret, "in a channel");
  const TemporaryDirectory elsewhere;
  std::ofstream(elsewhere / "secret") << "not in it";
  EXPECT_ERROR(with((elsewhere / "secret").string(), synthetic), InputError, "\"secret\"", "data=synthetic");
}

TEST(GatherJob, OutsideAContainerResultsGoToTheWorkingDirectory) {
  const Job job = gather_job(Container().read(), {});
  EXPECT_EQ(job.config.model_dir, fs::current_path() / "model");
  EXPECT_EQ(job.config.output_dir, fs::current_path() / "output");
  EXPECT_EQ(job.config.output_data_dir, fs::current_path() / "output/data");
}

TEST(GatherJob, TheModelDirectoryOfFrameworkEstimators) {
  Container container;
  container.config("hyperparameters.json", R"({"model_dir":"\"s3://bucket/job/model\""})");
  const Job job = gather_job(container.read(), {});
  EXPECT_EQ(job.config.model_dir, container / "model");
  ASSERT_EQ(job.notes.size(), 1);
  EXPECT_NE(job.notes[0].find("s3://bucket/job/model"), std::string::npos);
  container.config("hyperparameters.json", R"({"model_dir":"\"/opt/ml/model\""})");
  EXPECT_EQ(gather_job(container.read(), {}).config.model_dir, container / "model");
  container.config("hyperparameters.json", R"({"model_dir":"\"/elsewhere\""})");
  EXPECT_EQ(gather_job(container.read(), {}).config.model_dir, "/elsewhere");
  const Job flag = gather_job(container.read(), parse_job_arguments({"--model_dir", "s3://bucket/job/model"}));
  EXPECT_EQ(flag.config.model_dir, "/elsewhere");
  EXPECT_EQ(flag.notes.size(), 1);
  container.config("hyperparameters.json", R"({"model_dir":"None"})");
  EXPECT_EQ(gather_job(container.read(), {}).config.model_dir, container / "model");
}

// A plan is made where the data need not be.
TEST(CheckJob, AChannelThatIsNotThereIsAbsent) {
  const TemporaryDirectory directory;
  fs::create_symlink(directory / "nothing", directory / "link");
  const std::string missing = (directory / "at all").string();
  Job job = gather_job(Container().read(), parse_job_arguments({"--channel", "train=" + missing, "--channel",
                                                                "test=" + (directory / "link").string()}));
  check_job(job);
  ASSERT_EQ(job.absent.size(), 2);
  EXPECT_NE(job.absent[0].find("link is not a directory: it is a link whose target is not there"), std::string::npos);
  EXPECT_ERROR(require_present({job.absent[1]}), InputError, "\"train\"", missing, "not a directory");
}

TEST(CheckJob, RefusesAChannelBesideSyntheticData) {
  Job job = gather_job(Container().read(), parse_job_arguments({"--channel", "train=/tmp", "--data", "synthetic"}));
  EXPECT_ERROR(check_job(job), InputError, "\"train\"", "data=synthetic");
}

Job checked(const JobEnvironment& environment, const std::vector<std::string>& flags = {}) {
  Job job = gather_job(environment, parse_job_arguments(flags));
  check_job(job);
  return job;
}

TEST(CheckJob, TheHostsOfTheNamedGroupsTrain) {
  using Names = std::vector<std::string>;
  const JobEnvironment mixed = with_resources(kHeterogeneous);
  EXPECT_EQ(checked(mixed).hosts, (Names{"algo-1", "algo-2", "algo-3"}));
  EXPECT_TRUE(checked(mixed).takes_part);
  EXPECT_EQ(checked(mixed, {"--instance_groups", "gpu"}).hosts, (Names{"algo-1", "algo-3"}));
  EXPECT_TRUE(checked(mixed, {"--instance_groups", "[\"gpu\"]"}).takes_part);
  EXPECT_EQ(checked(mixed, {"--instance_groups", "['gpu', 'cpu']"}).hosts, checked(mixed).hosts);
  // One that does not train needs no data either.
  const TemporaryDirectory directory;
  const std::string absent = "train=" + (directory / "absent").string();
  const Job idle = checked(mixed, {"--instance_groups", "cpu", "--channel", absent, "--device", "cuda"});
  EXPECT_FALSE(idle.takes_part);
  EXPECT_EQ(idle.hosts, (Names{"algo-2"}));
  ASSERT_EQ(idle.notes.size(), 1);
  EXPECT_NE(idle.notes[0].find("algo-3, takes no part"), std::string::npos);
  EXPECT_EQ(plan_topology(idle, {.gpus = 0}).hosts[0].name, "algo-2");
  EXPECT_EQ(checked(with_resources(kFourP4d), {"--instance_groups", "homogeneousCluster"}).hosts.size(), 4);
  const std::string unlisted =
      R"({"current_host":"a","hosts":["a","b"],"instance_groups":[{"instance_group_name":"g"}]})";
  EXPECT_EQ(checked(with_resources(unlisted), {"--instance_groups", "g"}).hosts.size(), 2);
}

TEST(CheckJob, RefusesGroupsThatItCannotFind) {
  EXPECT_ERROR(checked(with_resources(kHeterogeneous), {"--instance_groups", "gpus"}), InputError, "\"gpus\"",
               "cpu, gpu");
  EXPECT_ERROR(checked(with_resources(kMinimal), {"--instance_groups", "gpu"}), InputError, "\"gpu\"", "it has none");
  const std::string unlisted =
      R"({"current_host":"a","hosts":["a","b"],"instance_groups":[{"instance_group_name":"g"},{"instance_group_name":"h"}]})";
  EXPECT_ERROR(checked(with_resources(unlisted), {"--instance_groups", "g"}), InputError, "\"g\"", "does not say");
  const JobEnvironment fewer = with_resources(kHeterogeneous, {{"SM_HOSTS", R"(["algo-3"])"}});
  EXPECT_ERROR(checked(fewer, {"--instance_groups", "cpu"}), InputError, "no host of cpu");
}

TEST(CheckJob, StreamedChannelsNeedNoDirectory) {
  Container container;
  container.config("inputdataconfig.json", R"({"train":{"TrainingInputMode":"Pipe","RecordWrapperType":"RecordIO"}})");
  const Job job = checked(container.read());
  EXPECT_TRUE(job.absent.empty());
  EXPECT_EQ(job.wrapped_channels, (std::set<std::string>{"train"}));
  ASSERT_EQ(job.notes.size(), 1);
  EXPECT_NE(job.notes[0].find((container / "input/data/train_0").string()), std::string::npos) << job.notes[0];
  fs::create_directories(container / "input/data/train");
  EXPECT_TRUE(
      checked(container.read(), {"--channel", "train=" + (container / "input").string()}).piped_channels.empty());
}

TEST(CheckJob, WhatTheContainerSaysOfShardsIsTheJobs) {
  Container container;
  container.config("inputdataconfig.json", R"({"train":{"S3DistributionType":"ShardedByS3Key"},
      "validation":{"S3DistributionType":"FullyReplicated"}})");
  fs::create_directories(container / "input/data/validation");
  using Names = std::vector<std::string>;
  EXPECT_EQ(checked(container.read()).absent.size(), 1);  // one host has all files
  container.config("resourceconfig.json", kMinimal);
  const Job job = checked(container.read());
  EXPECT_TRUE(job.absent.empty());  // another host has them
  EXPECT_EQ(job.config.hyperparameters.sharded, (Names{"train"}));
  EXPECT_EQ(checked(container.read(), {"--sharded", "validation,train"}).config.hyperparameters.sharded,
            (Names{"train", "validation"}));
  EXPECT_ERROR(checked(container.read(), {"--sharded", "test"}), InputError, "\"test\"", "train, validation");
  const std::string elsewhere = "train=" + (container / "input/data/validation").string();
  EXPECT_TRUE(checked(container.read(), {"--channel", elsewhere}).config.hyperparameters.sharded.empty());
  fs::create_symlink(container / "nothing", container / "input/data/train");
  EXPECT_EQ(checked(container.read()).absent.size(), 1);
}

Job job_with(const RawHyperparameters& hyperparameters) {
  Job job;
  job.hosts = {"localhost"};
  job.hyperparameters = hyperparameters;
  check_job(job);
  return job;
}

TEST(Topology, SharesTheCoresAmongTheRanks) {
  const auto plan = [](const RawHyperparameters& hyperparameters, int cores) {
    return plan_topology(job_with(hyperparameters), {.cores = cores});
  };
  EXPECT_EQ(plan({}, 8).ranks(), 1);
  EXPECT_EQ(plan({}, 8).hosts[0].threads_per_rank, 8);
  EXPECT_EQ(plan({{"ranks_per_host", 3}}, 8).hosts[0].threads_per_rank, 2);
  EXPECT_EQ(plan({{"ranks_per_host", 4}}, 2).hosts[0].threads_per_rank, 1);
  EXPECT_TRUE(plan({{"ranks_per_host", 4}}, 2).oversubscribed);
  EXPECT_FALSE(plan({{"ranks_per_host", 2}}, 2).oversubscribed);
  EXPECT_EQ(plan({{"ranks_per_host", 2}, {"threads_per_rank", 5}}, 2).hosts[0].threads_per_rank, 5);
}

TEST(Topology, RanksThatMpirunHasStartedCountAndKeepTheCoresTheyAreBoundTo) {
  const Job job = job_with({{"ranks_per_host", 2}});
  EXPECT_EQ(plan_topology(job, {.cores = 16}, 4).hosts[0].threads_per_rank, 4);
  EXPECT_EQ(plan_topology(job, {.cores = 8, .bound = true}, 4).hosts[0].threads_per_rank, 8);
  EXPECT_EQ(plan_topology(job, {.cores = 8, .bound = true}).hosts[0].threads_per_rank, 4);
}

// A quota of 1.1 cores is one thread's: two would share it, and each step wait for the slower.
TEST(Topology, AQuotaCountsWholeCores) {
  const int all = inspect_machine("/nowhere").cores;
  const auto cores = [](const std::string& name, const std::string& text, const std::string& period = "") {
    const TemporaryDirectory root;
    fs::create_directories(root / "sys/fs/cgroup/cpu");
    std::ofstream(root / "sys/fs/cgroup" / name) << text;
    if (!period.empty()) std::ofstream(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us") << period;
    return inspect_machine(root.path()).cores;
  };
  EXPECT_EQ(cores("cpu.max", "110000 100000\n"), 1);
  EXPECT_EQ(cores("cpu.max", "50000 100000\n"), 1);
  EXPECT_EQ(cores("cpu.max", "199999 100000\n"), 1);
  EXPECT_EQ(cores("cpu.max", "200000 100000\n"), std::min(all, 2));
  EXPECT_EQ(cores("cpu.max", "max 100000\n"), all);
  EXPECT_EQ(cores("cpu/cpu.cfs_quota_us", "110000\n", "100000\n"), 1);
  EXPECT_EQ(cores("cpu/cpu.cfs_quota_us", "-1\n", "100000\n"), all);
}

// Where people plan there need be no GPU.
TEST(Topology, PlansGpusThatAreNotHere) {
  const Topology asked = plan_topology(job_with({{"device", "cuda"}, {"ranks_per_host", 4}}), {.cores = 8, .gpus = 0});
  EXPECT_EQ(asked.hosts[0].gpus, 4);
  EXPECT_EQ(asked.hosts[0].ranks, 4);
  EXPECT_EQ(asked.absent.size(), 1);
  Job announced = job_with({});
  announced.gpus = 8;
  EXPECT_EQ(plan_topology(announced, {.gpus = 0}).ranks(), 8);
  Job typed = job_with({});
  typed.instance_type = "ml.p4d.24xlarge";
  const Topology unknown = plan_topology(typed, {.gpus = 0});
  EXPECT_EQ(unknown.hosts[0].gpus, 1);
  EXPECT_NE(unknown.warnings.at(0).find("not known here; planned with 1"), std::string::npos);
  const Topology more = plan_topology(job_with({{"ranks_per_host", 3}}), {.gpus = 2});
  EXPECT_EQ(more.hosts[0].ranks, 3);
  EXPECT_EQ(more.hosts[0].gpus, 3);
  EXPECT_TRUE(plan_topology(job_with({}), {.gpus = 2}).absent.empty());
}

TEST(Topology, OneRankPerGpu) {
  const Topology topology = plan_topology(job_with({{"batch_size", 64}}), {.cores = 96, .gpus = 8});
  EXPECT_EQ(topology.hosts[0].gpus, 8);
  EXPECT_EQ(topology.hosts[0].ranks, 8);
  EXPECT_EQ(topology.hosts[0].threads_per_rank, 12);
  EXPECT_TRUE(topology.warnings.empty());
  EXPECT_EQ(plan_topology(job_with({{"device", "cuda"}}), {.cores = 1, .gpus = 1}).hosts[0].gpus, 1);
  const Topology none = plan_topology(job_with({}), {.cores = 1, .gpus = 0});
  EXPECT_EQ(none.hosts[0].gpus, 0);
  EXPECT_EQ(none.hosts[0].ranks, 1);
  EXPECT_TRUE(none.warnings.empty());
  EXPECT_EQ(plan_topology(job_with({{"device", "cpu"}}), {.cores = 1, .gpus = 8}).hosts[0].gpus, 0);
}

TEST(Topology, SaysLoudlyWhatItDoesNotUse) {
  const Topology fewer = plan_topology(job_with({{"ranks_per_host", 3}}), {.cores = 1, .gpus = 8});
  EXPECT_EQ(fewer.hosts[0].ranks, 3);
  EXPECT_NE(fewer.warnings.at(0).find("5 of this host's 8 GPUs"), std::string::npos);
  Job announced = job_with({});
  announced.gpus = 4;
  const Topology smaller = plan_topology(announced, {.cores = 1, .gpus = 8});
  EXPECT_EQ(smaller.hosts[0].ranks, 4);
  EXPECT_NE(smaller.warnings.at(0).find("SM_NUM_GPUS is 4, and CUDA sees 8"), std::string::npos);
  EXPECT_EQ(plan_topology(announced, {.cores = 1, .gpus = 2}).hosts[0].ranks, 2);
  const Topology unable = plan_topology(job_with({}), {.cores = 1, .gpus = 8, .cuda = false});
  EXPECT_EQ(unable.hosts[0].gpus, 0);
  EXPECT_NE(unable.warnings.at(0).find("8 GPUs, and this lockstep was built without CUDA"), std::string::npos);
}

TEST(Topology, RefusesGpusThatAreNotThere) {
  EXPECT_ERROR(require_present(plan_topology(job_with({{"device", "cuda"}}), {.gpus = 0}).absent), InputError,
               "CUDA sees none", "device=cpu");
  EXPECT_ERROR(require_present(plan_topology(job_with({{"device", "cuda"}}), {.gpus = 8, .cuda = false}).absent),
               InputError, "built without CUDA");
  Job announced = job_with({});
  announced.gpus = 4;
  EXPECT_ERROR(require_present(plan_topology(announced, {.gpus = 0}).absent), InputError, "SM_NUM_GPUS is 4",
               "CUDA sees none");
  EXPECT_ERROR(require_present(plan_topology(job_with({{"ranks_per_host", 3}}), {.gpus = 2}).absent), InputError,
               "3 ranks", "there are 2");
  EXPECT_ERROR(require_present(plan_topology(job_with({}), {.gpus = 2}, 3).absent), InputError, "3 ranks",
               "there are 2");
  EXPECT_ERROR(require_present(plan_topology(job_with({{"ranks_per_host", 2}}), {.gpus = 1}).absent), InputError,
               "2 ranks", "there is 1");
  EXPECT_EQ(plan_topology(job_with({}), {.gpus = 1}, 2).hosts[0].gpus, 1);  // srun --gpus-per-task=1
  const Topology shared = plan_topology(job_with({{"share_gpus", true}, {"ranks_per_host", 2}}), {.gpus = 1});
  EXPECT_EQ(shared.hosts[0].ranks, 2);
  EXPECT_EQ(shared.hosts[0].gpus, 1);
}

// GPUs that Slurm has allocated and CUDA does not see.
TEST(Topology, ScheduledGpusThatAreNotThereAreRefusedUnlessTheJobMeansIt) {
  const auto plan = [](const Machine& machine, const RawHyperparameters& hyperparameters) {
    Job job = job_with(hyperparameters);
    job.scheduled_gpus = 2;
    return plan_topology(job, machine);
  };
  for (const RawHyperparameters& hyperparameters : {RawHyperparameters{}, RawHyperparameters{{"device", "cuda"}}}) {
    EXPECT_ERROR(require_present(plan({.gpus = 0}, hyperparameters).absent), InputError, "SLURM_GPUS_ON_NODE=2",
                 "CUDA sees none", "device=cpu");
  }
  for (const char* device : {"auto", "cpu"}) {
    const Topology topology = plan({.gpus = 0}, {{"device", device}});
    EXPECT_EQ(topology.hosts[0].gpus, 0) << device;
    EXPECT_NE(topology.warnings.at(0).find("WARNING: Slurm has given this job GPUs"), std::string::npos) << device;
  }
  EXPECT_EQ(plan({.gpus = 1}, {}).hosts[0].gpus, 1);  // --gpu-bind: a task sees its own
  EXPECT_TRUE(plan({.gpus = 2}, {}).hosts[0].ranks == 2);
}

TEST(Topology, AGpuInstanceTypeWithoutGpusIsRefused) {
  const auto plan = [](const std::string& type, const Machine& machine,
                       const RawHyperparameters& hyperparameters = {}) {
    Job job = job_with(hyperparameters);
    job.instance_type = type;
    const Topology topology = plan_topology(job, machine);
    require_present(topology.absent);
    return topology.hosts[0];
  };
  for (const char* type : {"ml.p4d.24xlarge", "ml.g5.48xlarge", "ml.p6e-gb200.36xlarge", "local_gpu"}) {
    EXPECT_ERROR(plan(type, {.gpus = 0}), InputError, "whose instance type is " + std::string(type), "CUDA sees none",
                 "device=cpu");
    EXPECT_EQ(plan(type, {.gpus = 0}, {{"device", "cpu"}}).gpus, 0);
    EXPECT_EQ(plan(type, {.gpus = 1}).gpus, 1);
  }
  for (const char* type :
       {"ml.c5.18xlarge", "ml.m5.large", "local", "local_cpu", "ml.trn1.32xlarge", "ml.p", "ml.geo1"}) {
    EXPECT_EQ(plan(type, {.gpus = 0}).ranks, 1) << type;
  }
}

TEST(Topology, TakesOtherHostsToBeLikeThisOne) {
  Job job = job_with({{"batch_size", 8}, {"ranks_per_host", 3}});
  job.hosts = {"algo-1", "algo-2"};
  const Topology topology = plan_topology(job, {.cores = 6});
  ASSERT_EQ(topology.hosts.size(), 2);
  EXPECT_EQ(topology.ranks(), 6);
  EXPECT_EQ(topology.hosts[1].name, "algo-2");
  EXPECT_EQ(topology.hosts[1].threads_per_rank, 2);
  EXPECT_EQ(topology.host_of(2), "algo-1");
  EXPECT_EQ(topology.host_of(3), "algo-2");
  EXPECT_THROW(topology.host_of(6), InternalError);
  job.hosts.push_back("algo-3");
  EXPECT_EQ(plan_topology(job, {}).ranks(), 9);  // the others may have fewer
  job.launcher = Launcher::kSsh;
  EXPECT_ERROR(plan_topology(job, {}), InputError, "batch_size=8", "9 ranks");
  // Started by mpirun, this host's ranks are all that it knows of.
  EXPECT_EQ(plan_topology(job, {}, 4).ranks(), 4);
}

TEST(Topology, RefusesWhatItCannotPlace) {
  EXPECT_ERROR(plan_topology(job_with({{"batch_size", 3}, {"ranks_per_host", 4}}), {}), InputError, "batch_size=3",
               "4 ranks");
}

}  // namespace
}  // namespace lockstep
