#include "launch/RemoteStart.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "common/Error.h"
#include "common/Text.h"
#include "launch/Connection.h"

namespace lockstep {

std::string unquoted(const std::string& word) {
  std::string result;
  char quote = 0;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) throw InputError(in_quotes(word) + " is several words");
    if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < word.size()) {
      result += word[++i];
    } else {
      result += c;
    }
  }
  if (quote != 0) throw InputError("a quote does not end: " + word);
  return result;
}

std::vector<std::string> daemon_command(const std::vector<std::string>& words, const std::string& mpi_directory) {
  // Statements for ssh's shell may stand before it, in the same word; this host knows its own OpenMPI.
  const std::string first = words.empty() ? "" : words[0];
  const std::string program = first.substr(first.find_last_of(" /;") + 1);
  if (program != "orted" && program != "prted") {
    throw InputError("this host starts OpenMPI's daemon and nothing else, not " + in_quotes(first));
  }
  std::vector<std::string> command = {mpi_directory + "/" + program};
  constexpr std::string_view kFlags[] = {"--leave-session-attached", "--allow-run-as-root"};
  constexpr std::string_view kParameters[] = {"-mca", "--mca", "--prtemca", "--pmixmca"};
  for (std::size_t i = 1; i < words.size();) {
    const bool flag = std::ranges::find(kFlags, words[i]) != std::end(kFlags);
    const std::size_t end = i + (flag ? 1 : 3);
    if ((!flag && std::ranges::find(kParameters, words[i]) == std::end(kParameters)) || end > words.size()) {
      throw InputError("OpenMPI's daemon is given " + in_quotes(words[i]) + ", which is no MCA parameter");
    }
    for (; i < end; ++i) command.push_back(unquoted(words[i]));
  }
  return command;
}

int remote_start_command(const std::vector<std::string>& arguments) {
  const char* socket = std::getenv(kRemoteStartSocket);
  if (socket == nullptr || arguments.size() < 2) {
    throw InputError("`lockstep remote-start` is for mpirun, which `lockstep train` starts");
  }
  Connection launcher(connect_locally(socket), "the launcher");
  launcher.send({{"type", "start"},
                 {"host", arguments[0]},
                 {"words", std::vector<std::string>(arguments.begin() + 1, arguments.end())}});
  const auto ended = launcher.wait_until(std::chrono::steady_clock::time_point::max());
  constexpr int kUnknown = 1;
  return ended ? field(*ended, "code", kUnknown) : kUnknown;
}

}  // namespace lockstep
