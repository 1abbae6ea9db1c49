#include "launch/Network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "common/Error.h"
#include "common/Text.h"
#include "launch/Connection.h"

namespace lockstep {

namespace {

struct Interface {
  std::string name;
  std::string address;
};

// Those with an IPv4 address, loopback among them.
std::vector<Interface> interfaces() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(list, &::freeifaddrs);
  std::vector<Interface> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (!entry->ifa_addr || entry->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr, text, sizeof text);
    found.push_back({.name = entry->ifa_name, .address = text});
  }
  return found;
}

}  // namespace

std::string system_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

std::string own_name_among(const std::vector<std::string>& hosts) {
  const std::string own = system_name();
  const auto label = [](const std::string& name) { return name.substr(0, name.find('.')); };
  for (const std::string& host : hosts) {
    if (host == own || label(host) == own || host == label(own)) return host;
  }
  const std::vector<Interface> here = interfaces();
  for (const std::string& host : hosts) {
    for (const std::string& address : addresses_of(host)) {
      if (std::ranges::count(here, address, &Interface::address) > 0) return host;
    }
  }
  throw InputError("none of the hosts " + join(hosts, ", ") + " is this machine, " + own +
                   ", by its name or an address of its own");
}

std::string choose_interface(const std::string& configured, const std::string& address) {
  const std::vector<Interface> here = interfaces();
  if (std::ranges::count(here, configured, &Interface::name) > 0) return configured;
  const auto found = std::ranges::find(here, address, &Interface::address);
  return found == here.end() ? "" : found->name;
}

}  // namespace lockstep
