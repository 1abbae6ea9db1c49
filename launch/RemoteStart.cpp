#include "launch/RemoteStart.h"

#include <array>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "common/Error.h"
#include "common/Text.h"
#include "launch/Connection.h"

namespace lockstep {

std::vector<std::string> shell_words(const std::string& line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
      words.back() += line[++i];
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) throw InputError("a quote of the command does not end: " + line);
  return words;
}

std::vector<std::string> daemon_command(const std::string& line, const std::string& mpi_directory) {
  const std::vector<std::string> words = shell_words(line);
  const std::string program = words.empty() ? "" : words[0].substr(words[0].rfind('/') + 1);
  if (program != "orted" && program != "prted") {
    throw InputError("this host starts OpenMPI's daemon and nothing else, not " + in_quotes(program));
  }
  std::vector<std::string> command = {mpi_directory + "/" + program};
  constexpr std::array<std::string_view, 5> kPairs = {"-mca", "--mca", "--prtemca", "--pmixmca", "--gpmixmca"};
  for (std::size_t i = 1; i < words.size(); i += 3) {
    if (std::find(kPairs.begin(), kPairs.end(), words[i]) == kPairs.end() || i + 2 >= words.size()) {
      throw InputError("OpenMPI's daemon is given " + in_quotes(words[i]) + ", which is no MCA parameter");
    }
    command.insert(command.end(), {words[i], words[i + 1], words[i + 2]});
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
                 {"line", join(std::vector<std::string>(arguments.begin() + 1, arguments.end()), " ")}});
  const auto ended = launcher.wait_until(std::chrono::steady_clock::time_point::max());
  return ended ? ended->value("code", kExitInternal + 0) : kExitInternal + 0;
}

}  // namespace lockstep
