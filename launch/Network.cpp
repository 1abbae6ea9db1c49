#include "launch/Network.h"

#include <unistd.h>

#include <algorithm>

#include "common/Error.h"
#include "common/NetworkInterfaces.h"
#include "common/Text.h"
#include "launch/Connection.h"

namespace lockstep {

namespace {

// Those with an IPv4 address, loopback among them.
std::vector<NetworkInterface> interfaces() {
  std::vector<NetworkInterface> found = network_interfaces().value_or(std::vector<NetworkInterface>());
  std::erase_if(found, [](const NetworkInterface& each) { return !each.ipv4; });
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
  const std::vector<NetworkInterface> here = interfaces();
  for (const std::string& host : hosts) {
    for (const std::string& address : addresses_of(host)) {
      if (std::ranges::count(here, address, &NetworkInterface::address) > 0) return host;
    }
  }
  throw InputError("none of the hosts " + join(hosts, ", ") + " is this machine, " + own +
                   ", by its name or an address of its own");
}

std::string choose_interface(const std::string& configured, const std::string& address) {
  const std::vector<NetworkInterface> here = interfaces();
  if (std::ranges::count(here, configured, &NetworkInterface::name) > 0) return configured;
  const auto found = std::ranges::find(here, address, &NetworkInterface::address);
  return found == here.end() ? "" : found->name;
}

}  // namespace lockstep
