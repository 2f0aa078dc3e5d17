#ifndef MELLOW_SERVICES_POLICY_POLICY_OPTIONS_H_
#define MELLOW_SERVICES_POLICY_POLICY_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/text/fitted_prompt.h"
#include "services/wire/service_main.h"

namespace mellow::policy {

struct PolicyOptions {
  wire::ServiceFlags service;
  std::string model;
  std::string device = "auto";
  int threads = 0;  // 0: all cores
  std::string dtype = "float32";
  std::string prompt_template = text::kDefaultPromptTemplate;  // with {dialogue}
  int max_source_tokens = 0;  // 0: what max_batch_tokens leaves beside max_new_tokens
  int max_new_tokens = 512;
  int64_t max_text_bytes = 0;  // of one text; 0: follows from max_source_tokens
  int default_max_new_tokens = 128;
  int max_rows = 64;                 // sequences decoded together
  int64_t max_batch_tokens = 32768;  // source + max_new_tokens over those rows
  int queue_capacity = 512;          // prompts that wait, each lane
  int max_adapters = 8;              // newest versions kept besides the base model

  // What max_source_tokens means.
  [[nodiscard]] int SourceTokens() const;
  // What max_text_bytes means.
  [[nodiscard]] int64_t TextBytes() const;
  // The size of the largest request that these options allow, or of the largest part of an
  // adapter's stream.
  [[nodiscard]] int64_t MessageBytes() const;
  // The size of the largest request with one text or prompt.
  [[nodiscard]] int64_t OneTextBytes() const;
  // InvalidArgument naming the flag and its value.
  [[nodiscard]] absl::Status Validate() const;
};

void AddPolicyFlags(CLI::App* app, PolicyOptions* options);

}  // namespace mellow::policy

#endif  // MELLOW_SERVICES_POLICY_POLICY_OPTIONS_H_
