#include "common/text/load_tokenizer.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/text/tokenizer_files.h"

namespace mellow::text {
namespace load_tokenizer_test {

using ::testing::HasSubstr;

constexpr char kVocab[] = R"({"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5})";

TEST(LoadTokenizerTest, ChoosesByTheFilesOfTheFolder) {
  const auto t5 = LoadTokenizer(MakeFolder({{"spiece.model", SpmFile({{"\u2581", -1}, {"a", -1}})},
                                            {"tokenizer_config.json", R"({"extra_ids": 0})"}}));
  ASSERT_TRUE(t5.ok()) << t5.status();
  EXPECT_EQ(*(*t5)->Encode("a"), (std::vector<int32_t>{3, 4, 1}));
  const auto roberta =
      LoadTokenizer(MakeFolder({{"vocab.json", kVocab}, {"merges.txt", "#version: 0.2\na b\n"}}));
  ASSERT_TRUE(roberta.ok()) << roberta.status();
  EXPECT_EQ(*(*roberta)->Encode("ab"), (std::vector<int32_t>{0, 5, 2}));
}

TEST(LoadTokenizerTest, TakesTokenizerJsonBeforeTheFilesOfOld) {
  constexpr char kJson[] =
      R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1]]}})";
  const std::string spiece = SpmFile({{"\u2581", -1}, {"a", -1}});
  const auto ids = [](const std::map<std::string, std::string>& files) {
    const auto tokenizer = MakeTokenizer(files, "dir");
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return tokenizer.ok() ? *(*tokenizer)->Encode("a") : std::vector<int32_t>{};
  };
  EXPECT_EQ(ids({{"tokenizer.json", kJson}}), (std::vector<int32_t>{1}));
  EXPECT_EQ(ids({{"tokenizer.json", kJson}, {"spiece.model", spiece}}), (std::vector<int32_t>{1}));
  EXPECT_EQ(ids({{"tokenizer.json", kJson}, {"vocab.json", kVocab}}), (std::vector<int32_t>{1}));
  // As transformers does it where T5's add_prefix_space is set, whatever it is set to.
  for (const char* value : {"true", "false"}) {
    EXPECT_EQ(
        ids({{"tokenizer.json", kJson},
             {"spiece.model", spiece},
             {"tokenizer_config.json", absl::StrCat(R"({"add_prefix_space": )", value, "}")}}),
        (std::vector<int32_t>{3, 4, 1}))
        << value;
  }
  EXPECT_EQ(
      ids({{"tokenizer.json", kJson}, {"tokenizer_config.json", R"({"add_prefix_space": true})"}}),
      (std::vector<int32_t>{1}));
}

TEST(LoadTokenizerTest, TheClassIsWhatTheFolderSays) {
  const std::string spiece = SpmFile({{"\u2581", -1}, {"a", -1}});
  const auto error = [&](const std::string& config, const std::string& model) {
    const auto tokenizer = MakeTokenizer(
        {{"spiece.model", spiece}, {"tokenizer_config.json", config}, {"config.json", model}},
        "dir");
    return tokenizer.ok() ? "no error" : std::string(tokenizer.status().message());
  };
  EXPECT_EQ(error("{}", R"({"model_type": "umt5"})"), "no error");
  EXPECT_EQ(error(R"({"tokenizer_class": "MT5TokenizerFast"})", "{}"), "no error");
  EXPECT_THAT(error("{}", R"({"model_type": "roberta"})"), HasSubstr("nor vocab.json"));
  EXPECT_THAT(error(R"({"tokenizer_class": "TokenizersBackend"})", "{}"),
              HasSubstr("no tokenizer: tokenizer.json"));
  EXPECT_THAT(error(R"({"tokenizer_class": "BertTokenizer"})", R"({"model_type": "t5"})"),
              HasSubstr("dir/tokenizer_config.json: tokenizer_class is \"BertTokenizer\""));
  EXPECT_THAT(error("{}", R"({"tokenizer_class": "XLMRobertaTokenizer"})"),
              HasSubstr("dir/config.json: tokenizer_class"));
}

TEST(LoadTokenizerTest, FoldersOfOtherKindsAreToldByTheirClassOrModelType) {
  constexpr char kWordPiece[] = R"({"normalizer": {"type": "BertNormalizer"},
      "model": {"type": "WordPiece", "vocab": {"[UNK]": 0}}})";
  constexpr char kLlama[] = R"({"pre_tokenizer": null,
      "model": {"type": "BPE", "byte_fallback": true, "vocab": {"<unk>": 0}, "merges": []}})";
  const auto error = [](const std::map<std::string, std::string>& files) {
    return LoadTokenizer(MakeFolder({files.begin(), files.end()})).status();
  };
  const auto of_class = [](const std::string& name) {
    return absl::StrCat(R"({"tokenizer_class": ")", name, R"("})");
  };
  struct Kind {
    const char* name;
    std::map<std::string, std::string> files;
  };
  const Kind classes[] = {
      {"BertTokenizer", {{"vocab.txt", "[UNK]"}, {"tokenizer.json", kWordPiece}}},
      {"DistilBertTokenizerFast", {{"vocab.txt", "[UNK]"}}},
      {"ElectraTokenizer", {{"tokenizer.json", kWordPiece}}},
      {"ByT5Tokenizer", {{"config.json", R"({"model_type": "t5"})"}}},  // it has no vocabulary
      {"LlamaTokenizer", {{"tokenizer.model", "?"}, {"tokenizer.json", kLlama}}},
      {"XLMRobertaTokenizer", {{"sentencepiece.bpe.model", "?"}}},
      {"BartTokenizer", {{"vocab.json", kVocab}, {"merges.txt", "#version: 0.2\na b\n"}}},
  };
  for (Kind kind : classes) {
    kind.files["tokenizer_config.json"] = of_class(kind.name);
    const absl::Status status = error(kind.files);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << kind.name;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("tokenizer_config.json: tokenizer_class is \"", kind.name,
                                       "\", expected T5Tokenizer, ")));
  }
  const Kind types[] = {
      {"canine", {}},
      {"electra", {{"tokenizer.json", kWordPiece}}},
      // transformers adds no <s> and </s> to GPT-2's texts.
      {"gpt2", {{"vocab.json", kVocab}, {"merges.txt", "#version: 0.2\na b\n"}}},
  };
  for (Kind type : types) {
    type.files["config.json"] = absl::StrCat(R"({"model_type": ")", type.name, R"("})");
    const absl::Status status = error(type.files);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << type.name;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("config.json: model_type is \"", type.name,
                                       "\", expected t5, mt5, umt5 or roberta")));
  }
  // A class that is what tokenizer.json says is refused by the part.
  EXPECT_THAT(std::string(error({{"tokenizer.json", kLlama},
                                 {"tokenizer_config.json", of_class("PreTrainedTokenizerFast")}})
                              .message()),
              HasSubstr("tokenizer.json: model: type is \"BPE\""));
  for (const char* name :
       {"vocab.txt", "tokenizer.model", "sentencepiece.bpe.model", "spm.model"}) {
    const absl::Status status = error({{name, "?"}});
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("; ", name, " (")));
  }
}

TEST(LoadTokenizerTest, NamesWhatIsMissing) {
  const std::string folder = MakeFolder({});
  const auto nothing = LoadTokenizer(folder);
  EXPECT_EQ(nothing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(nothing.status().message()), HasSubstr(folder));
  const auto half = LoadTokenizer(MakeFolder({{"vocab.json", kVocab}}));
  EXPECT_EQ(half.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(half.status().message()), HasSubstr("merges.txt"));
  EXPECT_EQ(LoadTokenizer("/nonexistent/folder").status().code(), absl::StatusCode::kNotFound);
}

TEST(LoadTokenizerTest, NamesTheCorruptFile) {
  const auto tokenizer = LoadTokenizer(MakeFolder({{"spiece.model", "no model at all"}}));
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tokenizer.status().message()),
              HasSubstr("spiece.model: not a SentencePiece model"));
}

}  // namespace load_tokenizer_test
}  // namespace mellow::text
