#include "text/canonical_order.h"

#include <gtest/gtest.h>
#include <unicode/normalizer2.h>

#include <random>

#include "text/normalizer.h"
#include "text/utf8.h"

namespace quire {
namespace {

std::string normalize(const char* form, const std::string& text) {
  const Json spec = {{"type", form}};
  const std::string origin = "test";
  const Normalizers normalizers = make_normalizers(JsonField(spec, origin, "normalizer"));
  RegexScratch scratch(text.size());
  NormalizedText out{text};
  normalizers[0]->apply(out, scratch);
  return out.text;
}

// Marks of many classes, and the three that stand for two marks each.
constexpr char32_t kMarks[] = {0x300, 0x301, 0x315, 0x316, 0x327, 0x328, 0x334, 0x338, 0x344, 0x345, 0x5B0,
                               0x5C1, 0x64B, 0x651, 0x93C, 0xE48, 0xF71, 0xF72, 0xF73, 0xF75, 0xF81, 0x3099};

TEST(CanonicalOrder, ShortRunsStayAsTheyAre) {
  std::string text = "a\u0301\u0316b";
  order_long_mark_runs(text);
  EXPECT_EQ(text, "a\u0301\u0316b");
}

std::string normalize_by_icu_alone(const std::string& form, const std::string& text) {
  UErrorCode status = U_ZERO_ERROR;
  const auto* normalizer =
      icu::Normalizer2::getInstance(nullptr, form.ends_with("KC") || form.ends_with("KD") ? "nfkc" : "nfc",
                                    form.ends_with("D") ? UNORM2_DECOMPOSE : UNORM2_COMPOSE, status);
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  normalizer->normalizeUTF8(0, text, sink, nullptr, status);
  EXPECT_TRUE(U_SUCCESS(status));
  return out;
}

TEST(CanonicalOrder, NormalFormsOfLongRunsStayTheSame) {
  std::mt19937 random(1);
  int num_ordered = 0;
  for (int round = 0; round < 200; ++round) {
    std::string text = "e";
    for (int i = 0; i < 150; ++i) {
      if (random() % 140 == 0) text += "o";
      append_utf8(text, kMarks[random() % std::size(kMarks)]);
    }
    text += "y";
    std::string ordered = text;
    order_long_mark_runs(ordered);
    if (ordered != text) ++num_ordered;
    for (const char* form : {"NFC", "NFD", "NFKC", "NFKD"}) {
      EXPECT_EQ(normalize(form, text), normalize_by_icu_alone(form, text)) << form;
    }
  }
  EXPECT_GT(num_ordered, 100);
}

TEST(CanonicalOrder, AMegabyteOfMarksIsNormalised) {
  std::string text = "a";
  while (text.size() < 1'000'000) text += "\u0301\u0316\u0F73";
  for (const char* form : {"NFC", "NFD", "NFKC", "NFKD"}) EXPECT_GE(normalize(form, text).size(), 1'000'000u);
}

}  // namespace
}  // namespace quire
