#include "engine/commands/ReportCommand.h"

#include <cstdio>
#include <filesystem>

#include "common/Error.h"
#include "common/ExitCodes.h"
#include "common/ReplaceFile.h"
#include "common/Text.h"
#include "engine/report/ReportFile.h"
#include "engine/report/ReportPage.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// A job's output directory has what we look for in a directory of its own.
fs::path metrics_place(const fs::path& path) {
  return fs::is_directory(path / "data") && !fs::exists(path / "metrics.jsonl") ? path / "data" : path;
}

}  // namespace

int report_command(const std::vector<std::string>& arguments) {
  std::vector<RunHistory> runs;
  fs::path page;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "-o" || argument == "--output") {
      if (i + 1 == arguments.size()) throw InputError(argument + " needs a value");
      page = arguments[++i];
    } else if (argument.starts_with("-")) {
      throw InputError("report takes directories and -o FILE, and was given " + in_quotes(argument));
    } else {
      runs.emplace_back(metrics_place(argument));
    }
  }
  if (runs.empty()) throw InputError("report needs the directory of a run, or several");
  if (page.empty() && runs.size() > 1) throw InputError("of several runs, report needs to know where: -o FILE.html");
  if (page.empty()) page = runs.front().path().parent_path() / ReportFile::kName;
  for (RunHistory& run : runs) run.read_on();
  const std::string html = report_page(runs);
  replace_file(page, html);
  std::printf("report     %s, %s bytes\n", page.c_str(), with_commas(static_cast<long long>(html.size())).c_str());
  return kExitDone;
}

}  // namespace lockstep
