#include "common/nn/linear_shape.h"

#include "absl/strings/str_cat.h"

namespace mellow::nn {
namespace {

void AddAttention(const T5Config& c, const std::string& name, std::vector<LinearShape>* out) {
  for (const char* part : {".q", ".k", ".v"})
    out->push_back({name + part, c.d_model, c.inner_dim()});
  out->push_back({name + ".o", c.inner_dim(), c.d_model});
}

void AddFeedForward(const T5Config& c, const std::string& name, std::vector<LinearShape>* out) {
  out->push_back({name + (c.gated ? ".wi_0" : ".wi"), c.d_model, c.d_ff});
  if (c.gated) out->push_back({name + ".wi_1", c.d_model, c.d_ff});
  out->push_back({name + ".wo", c.d_ff, c.d_model});
}

}  // namespace

std::vector<LinearShape> LinearLayers(const T5Config& c) {
  std::vector<LinearShape> out;
  for (int i = 0; i < c.num_layers; ++i) {
    AddAttention(c, absl::StrCat("encoder.block.", i, ".layer.0.SelfAttention"), &out);
    AddFeedForward(c, absl::StrCat("encoder.block.", i, ".layer.1.DenseReluDense"), &out);
  }
  for (int i = 0; i < c.num_decoder_layers; ++i) {
    AddAttention(c, absl::StrCat("decoder.block.", i, ".layer.0.SelfAttention"), &out);
    AddAttention(c, absl::StrCat("decoder.block.", i, ".layer.1.EncDecAttention"), &out);
    AddFeedForward(c, absl::StrCat("decoder.block.", i, ".layer.2.DenseReluDense"), &out);
  }
  return out;
}

}  // namespace mellow::nn
