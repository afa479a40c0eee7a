#include "files/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "files/mapped_file.h"

namespace quire {
namespace {

constexpr JsonLimits kConfigLimits = {.max_bytes = 4u << 20, .max_depth = 32, .max_values = 200'000};

// Upper bounds keep every product of two extents far from 64 bits; no model comes near them.
constexpr int kMaxLayers = 4096;
constexpr int kMaxDim = 1 << 20;
constexpr int kMaxHeads = 1 << 14;
constexpr int kMaxVocab = 1 << 24;
constexpr int kMinHeadDim = 8, kMaxHeadDim = 512;

enum class Window {
  kNever,     // sliding_window is not a field of the family
  kAlways,    // sliding_window, unless null
  kIfWanted,  // sliding_window if use_sliding_window, from layer max_window_layers on
  kEven,      // sliding_window in the layers 0, 2, 4 ...
};

// What differs between the families, as Hugging Face's classes define it. Fields that a file leaves out take
// the defaults given here.
struct Family {
  const char* architecture;
  const char* model_type;
  int default_head_dim = 0;  // 0: hidden_size / num_attention_heads
  int default_kv_heads = 0;  // 0: num_attention_heads
  int default_max_position = 2048;
  bool always_qkv_bias = false;
  bool may_attention_bias = false;  // reads attention_bias: biases of q, k, v and o
  bool may_mlp_bias = false;        // reads mlp_bias
  bool qk_norm = false;
  Window window = Window::kNever;
  const char* activation_key = "hidden_act";
  const char* default_activation = "silu";
  bool tied_by_default = false;  // the output head is the embedding
  bool is_gemma = false;         // norms multiply by 1 + weight, embeddings are scaled
  NormPlacement norms = NormPlacement::kBefore;
  int default_score_dim = 0;   // > 0: reads query_pre_attn_scalar, the head size that scores are scaled for
  bool has_soft_caps = false;  // reads attn_logit_softcapping and final_logit_softcapping
};

constexpr std::array<Family, 5> kFamilies = {{
    {.architecture = "LlamaForCausalLM",
     .model_type = "llama",
     .may_attention_bias = true,
     .may_mlp_bias = true},
    {.architecture = "MistralForCausalLM",
     .model_type = "mistral",
     .default_max_position = 131072,
     .window = Window::kAlways},
    {.architecture = "Qwen2ForCausalLM",
     .model_type = "qwen2",
     .default_max_position = 32768,
     .always_qkv_bias = true,
     .window = Window::kIfWanted},
    {.architecture = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .default_head_dim = 128,
     .default_max_position = 32768,
     .may_attention_bias = true,
     .qk_norm = true,
     .window = Window::kIfWanted},
    {.architecture = "Gemma2ForCausalLM",
     .model_type = "gemma2",
     .default_head_dim = 256,
     .default_kv_heads = 4,
     .default_max_position = 8192,
     .may_attention_bias = true,
     .window = Window::kEven,
     .activation_key = "hidden_activation",
     .default_activation = "gelu_pytorch_tanh",
     .tied_by_default = true,
     .is_gemma = true,
     .norms = NormPlacement::kBeforeAndBehind,
     .default_score_dim = 256,
     .has_soft_caps = true},
}};
constexpr double kDefaultScoreCap = 50.0, kDefaultLogitsCap = 30.0;  // of files that do not mention them
constexpr int kDefaultWindow = 4096;  // of a file that does not mention sliding_window
constexpr int kDefaultMaxWindowLayers = 28;

const Family& find_family(const Fields& config) {
  // `architectures` says what the file is; files without it are known by `model_type`.
  const Json* list = config.find("architectures");
  if (list && (!list->is_array() || list->empty() || !list->front().is_string())) {
    config.refuse("architectures", *list, "an array that starts with a name");
  }
  const auto model_type = config.try_string("model_type");
  if (!list && !model_type) config.refuse_missing("architectures");
  const std::string name = list ? list->front().get<std::string>() : *model_type;
  std::string supported;
  for (const Family& family : kFamilies) {
    if (name == (list ? family.architecture : family.model_type)) return family;
    supported +=
        (supported.empty() ? "" : ", ") + std::string(list ? family.architecture : family.model_type);
  }
  config.refuse_unsupported(list ? "architectures" : "model_type", name, supported);
}

void refuse_quantisation(const Fields& config) {
  const auto quantisation = config.try_object("quantization_config");
  if (!quantisation) return;
  const std::string method = quantisation->try_string("quant_method").value_or("unnamed");
  config.refuse_unsupported("quantization_config", method, "weights in bfloat16, float16 or float32");
}

DType read_dtype(const Fields& config) {
  const char* key = config.has("dtype") ? "dtype" : "torch_dtype";
  std::string name = config.try_string(key).value_or("float32");
  if (name.starts_with("torch.")) name.erase(0, 6);
  if (name == "float32") return DType::kF32;
  if (name == "float16") return DType::kF16;
  if (name == "bfloat16") return DType::kBF16;
  config.refuse_unsupported(key, name, "bfloat16, float16, float32");
}

Activation read_activation(const Fields& config, const Family& family) {
  const std::string name = config.try_string(family.activation_key).value_or(family.default_activation);
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::kGeluTanh;
  config.refuse_unsupported(family.activation_key, name, "silu, gelu, gelu_pytorch_tanh, gelu_new");
}

void read_heads(const Fields& config, const Family& family, ModelConfig& model) {
  model.num_qo_heads = config.get_int("num_attention_heads", 1, kMaxHeads);
  const int default_kv_heads = family.default_kv_heads > 0 ? family.default_kv_heads : model.num_qo_heads;
  model.num_kv_heads = config.try_int("num_key_value_heads", 1, kMaxHeads).value_or(default_kv_heads);
  QUIRE_CHECK_KIND(kCorruptFile, model.num_qo_heads % model.num_kv_heads == 0,
                   "{}: field \"num_key_value_heads\" is {}, expected a divisor of num_attention_heads {}",
                   config.origin(), model.num_kv_heads, model.num_qo_heads);
  model.head_dim = config.try_int("head_dim", 1, kMaxDim).value_or(family.default_head_dim);
  if (model.head_dim == 0) {
    QUIRE_CHECK_KIND(
        kCorruptFile, model.hidden_dim % model.num_qo_heads == 0,
        "{}: field \"hidden_size\" is {}, expected a multiple of num_attention_heads {} where head_dim is "
        "missing",
        config.origin(), model.hidden_dim, model.num_qo_heads);
    model.head_dim = model.hidden_dim / model.num_qo_heads;
  }
  const bool ok = model.head_dim >= kMinHeadDim && model.head_dim <= kMaxHeadDim && model.head_dim % 2 == 0;
  QUIRE_CHECK_KIND(kUnsupported, ok, "{}: head_dim is {}, supported: even sizes from {} to {}",
                   config.origin(), model.head_dim, kMinHeadDim, kMaxHeadDim);
}

// The window of the layers that have one; 0 = the model has none.
int read_window_len(const Fields& config, Window rule) {
  if (rule == Window::kNever) return 0;
  if (rule == Window::kIfWanted && !config.try_bool("use_sliding_window").value_or(false)) return 0;
  if (config.has("sliding_window")) return config.get_int("sliding_window", 1, kMaxPosition);
  return config.mentions("sliding_window") ? 0 : kDefaultWindow;  // null says none
}

std::vector<int> layer_type_windows(const Fields& config, const Json& types, int num_layers, int window_len) {
  if (!types.is_array() || types.size() != static_cast<std::size_t>(num_layers)) {
    config.refuse("layer_types", types, fmt::format("an array of num_hidden_layers {} names", num_layers));
  }
  std::vector<int> windows;
  for (const Json& type : types) {
    if (!type.is_string()) config.refuse("layer_types", type, "names only");
    const auto& name = type.get_ref<const std::string&>();
    const bool sliding = name == "sliding_attention";
    if (!sliding && name != "full_attention") {
      config.refuse_unsupported("layer_types", name, "full_attention, sliding_attention");
    }
    if (sliding && window_len == 0)
      config.refuse("layer_types", type, "full_attention as the model has no window");
    windows.push_back(sliding ? window_len : 0);
  }
  return windows;
}

std::vector<int> read_windows(const Fields& config, Window rule, int num_layers) {
  const int window_len = read_window_len(config, rule);
  const Json* types = config.find("layer_types");
  if (types && rule != Window::kNever) return layer_type_windows(config, *types, num_layers, window_len);
  int first = 0;  // layer with a window
  if (rule == Window::kIfWanted) {
    first = config.try_int("max_window_layers", 0, kMaxLayers).value_or(kDefaultMaxWindowLayers);
  }
  std::vector<int> windows(static_cast<std::size_t>(num_layers), 0);
  const int step = rule == Window::kEven ? 2 : 1;
  for (int layer = first; layer < num_layers; layer += step)
    windows[static_cast<std::size_t>(layer)] = window_len;
  return windows;
}

// 0 = off, which null says.
double read_soft_cap(const Fields& config, std::string_view key, double default_cap) {
  if (!config.mentions(key)) return default_cap;
  return config.try_number(key, {1e-3, 1e6}).value_or(0.0);
}

void read_gemma(const Fields& config, const Family& family, ModelConfig& model) {
  model.norm_placement = family.norms;
  model.norm_adds_one = model.scales_embedding = family.is_gemma;
  if (family.is_gemma && config.try_bool("use_bidirectional_attention").value_or(false)) {
    config.refuse_unsupported("use_bidirectional_attention", "true", "false");
  }
  if (family.default_score_dim > 0) {
    const double dim =
        config.try_number("query_pre_attn_scalar", {1e-3, 1e6}).value_or(family.default_score_dim);
    model.attention_scale = 1.0 / std::sqrt(dim);
  }
  if (!family.has_soft_caps) return;
  model.attention_soft_cap = read_soft_cap(config, "attn_logit_softcapping", kDefaultScoreCap);
  model.logits_soft_cap = read_soft_cap(config, "final_logit_softcapping", kDefaultLogitsCap);
}

}  // namespace

ModelConfig parse_model_config(std::string_view text, const std::string& origin) {
  const Json json = parse_json(text, origin, kConfigLimits);
  const Fields config(json, origin);
  const Family& family = find_family(config);
  refuse_quantisation(config);

  ModelConfig model;
  model.architecture = family.architecture;
  model.dtype = read_dtype(config);
  model.num_layers = config.get_int("num_hidden_layers", 1, kMaxLayers);
  model.hidden_dim = config.get_int("hidden_size", 1, kMaxDim);
  model.intermediate_dim = config.get_int("intermediate_size", 1, kMaxDim);
  model.vocab_size = config.get_int("vocab_size", 1, kMaxVocab);
  read_heads(config, family, model);
  model.max_position =
      config.try_int("max_position_embeddings", 1, kMaxPosition).value_or(family.default_max_position);
  model.rms_norm_eps = config.try_number("rms_norm_eps", {1e-30, 1.0}).value_or(1e-6);
  model.activation = read_activation(config, family);
  model.tie_word_embeddings = config.try_bool("tie_word_embeddings").value_or(family.tied_by_default);
  const bool attention_bias = family.may_attention_bias && config.try_bool("attention_bias").value_or(false);
  model.qkv_bias = family.always_qkv_bias || attention_bias;
  model.o_bias = attention_bias;
  model.mlp_bias = family.may_mlp_bias && config.try_bool("mlp_bias").value_or(false);
  model.qk_norm = family.qk_norm;
  read_gemma(config, family, model);
  model.window_lens = read_windows(config, family.window, model.num_layers);
  model.rope = parse_rope_config(config, model.max_position);
  return model;
}

ModelConfig load_model_config(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const MappedFile file = MappedFile::open_text(path, kConfigLimits.max_bytes);
  return parse_model_config(file.text(), path.string());
}

}  // namespace quire
