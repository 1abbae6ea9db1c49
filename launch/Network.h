// This host in the network.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// What this machine's system calls it.
std::string system_name();

/// Which of `hosts` this machine is: the one that is its name, with or without a domain, else the one that resolves to
/// an address of its own. Throws InputError when none does.
std::string own_name_among(const std::vector<std::string>& hosts);

/// The interface that other hosts are reached through: `configured` when this host has it with an IPv4 address, else
/// the one that has `address`, this host's own address of a connection to another host. "" when there is none.
std::string choose_interface(const std::string& configured, const std::string& address);

}  // namespace lockstep
