// The flags of quire serve.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/model_flags.h"
#include "server/http_server.h"
#include "serving/served_model.h"

namespace quire {

struct ServeFlags : ModelFlags {
  HttpOptions http;
  ServiceOptions service;
  ServingOptions serving;
  std::string config;  // read before the flags are, see config_file.h
  std::string api_key_file;
  std::string generation_config = "auto";
  std::string scheduling_policy = "fcfs";
  bool trusts_special_tokens = false;
  bool no_stats = false;
  bool measures_ceilings = false;
};

void add_serve_flags(CLI::App& command, ServeFlags& flags);

// What follows from several flags together: keys from the file, hosts that loopback allows. Throws
// Error{kNotFound, kInvalidArgument}.
void complete(ServeFlags& flags);

}  // namespace quire
