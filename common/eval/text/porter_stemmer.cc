#include "common/eval/text/porter_stemmer.h"

#include <array>
#include <vector>

#include "absl/strings/match.h"
#include "absl/types/span.h"

namespace mellow::eval {
namespace {

using absl::EndsWith;
using absl::string_view;

// Words that NLTK does not stem by rule.
struct Irregular {
  string_view word;
  string_view stem;
};
constexpr std::array<Irregular, 16> kIrregular = {{{"sky", "sky"},
                                                   {"skies", "sky"},
                                                   {"dying", "die"},
                                                   {"lying", "lie"},
                                                   {"tying", "tie"},
                                                   {"news", "news"},
                                                   {"innings", "inning"},
                                                   {"inning", "inning"},
                                                   {"outings", "outing"},
                                                   {"outing", "outing"},
                                                   {"cannings", "canning"},
                                                   {"canning", "canning"},
                                                   {"howe", "howe"},
                                                   {"proceed", "proceed"},
                                                   {"exceed", "exceed"},
                                                   {"succeed", "succeed"}}};

bool IsVowelLetter(char c) { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'; }

// One flag per letter. 'y' is a consonant exactly when the letter before it is not.
std::vector<bool> Consonants(string_view word) {
  std::vector<bool> flags(word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    flags[i] = word[i] == 'y' ? (i == 0 || !flags[i - 1]) : !IsVowelLetter(word[i]);
  }
  return flags;
}

// Porter's m: how often a consonant follows a vowel.
int Measure(string_view stem) {
  const std::vector<bool> consonant = Consonants(stem);
  int m = 0;
  for (size_t i = 1; i < consonant.size(); ++i) m += !consonant[i - 1] && consonant[i];
  return m;
}

bool HasVowel(string_view stem) {
  for (const bool consonant : Consonants(stem)) {
    if (!consonant) return true;
  }
  return false;
}

// Porter's *o, and NLTK's addition: a word of a vowel and a consonant.
bool EndsConsonantVowelConsonant(string_view word) {
  const std::vector<bool> c = Consonants(word);
  const size_t n = word.size();
  if (n == 2) return !c[0] && c[1];
  return n >= 3 && c[n - 3] && !c[n - 2] && c[n - 1] && word[n - 1] != 'w' && word[n - 1] != 'x' &&
         word[n - 1] != 'y';
}

struct Rule {
  string_view suffix;
  string_view replacement;
};

// The first rule whose suffix fits decides; it applies when the stem's measure is over `measure`.
std::string ApplyFirst(string_view word, absl::Span<const Rule> rules, int measure) {
  for (const Rule& rule : rules) {
    if (!EndsWith(word, rule.suffix)) continue;
    const string_view stem = word.substr(0, word.size() - rule.suffix.size());
    if (Measure(stem) <= measure) break;
    return std::string(stem) + std::string(rule.replacement);
  }
  return std::string(word);
}

std::string Chop(string_view word, size_t letters) {
  return std::string(word.substr(0, word.size() - letters));
}

// Plurals.
std::string Step1a(const std::string& word) {
  if (EndsWith(word, "ies")) return Chop(word, word.size() == 4 ? 1 : 2);
  if (EndsWith(word, "sses")) return Chop(word, 2);
  if (EndsWith(word, "s") && !EndsWith(word, "ss")) return Chop(word, 1);
  return word;
}

// -ed and -ing.
std::string Step1b(const std::string& word) {
  if (EndsWith(word, "ied")) return Chop(word, word.size() == 4 ? 1 : 2);
  if (EndsWith(word, "eed")) return Measure(Chop(word, 3)) > 0 ? Chop(word, 1) : word;
  std::string stem;
  if (EndsWith(word, "ed") && HasVowel(Chop(word, 2))) {
    stem = Chop(word, 2);
  } else if (EndsWith(word, "ing") && HasVowel(Chop(word, 3))) {
    stem = Chop(word, 3);
  } else {
    return word;
  }
  if (EndsWith(stem, "at") || EndsWith(stem, "bl") || EndsWith(stem, "iz")) return stem + "e";
  const size_t n = stem.size();
  if (n >= 2 && stem[n - 1] == stem[n - 2] && Consonants(stem).back()) {
    const char last = stem.back();
    return last == 'l' || last == 's' || last == 'z' ? stem : Chop(stem, 1);
  }
  return Measure(stem) == 1 && EndsConsonantVowelConsonant(stem) ? stem + "e" : stem;
}

// -y after a consonant.
std::string Step1c(const std::string& word) {
  if (!EndsWith(word, "y")) return word;
  const std::string stem = Chop(word, 1);
  return stem.size() > 1 && Consonants(stem).back() ? stem + "i" : word;
}

std::string Step2(const std::string& word) {
  static constexpr std::array<Rule, 21> kRules = {
      {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
       {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
       {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
       {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
       {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
       {"fulli", "ful"}}};
  if (EndsWith(word, "alli") && Measure(Chop(word, 4)) > 0) return Step2(Chop(word, 2));
  // Its condition is on the stem with the l.
  if (EndsWith(word, "logi")) return Measure(Chop(word, 3)) > 0 ? Chop(word, 1) : word;
  return ApplyFirst(word, kRules, 0);
}

std::string Step3(const std::string& word) {
  static constexpr std::array<Rule, 7> kRules = {{{"icate", "ic"},
                                                  {"ative", ""},
                                                  {"alize", "al"},
                                                  {"iciti", "ic"},
                                                  {"ical", "ic"},
                                                  {"ful", ""},
                                                  {"ness", ""}}};
  return ApplyFirst(word, kRules, 0);
}

std::string Step4(const std::string& word) {
  static constexpr std::array<Rule, 18> kRules = {{{"al", ""},
                                                   {"ance", ""},
                                                   {"ence", ""},
                                                   {"er", ""},
                                                   {"ic", ""},
                                                   {"able", ""},
                                                   {"ible", ""},
                                                   {"ant", ""},
                                                   {"ement", ""},
                                                   {"ment", ""},
                                                   {"ent", ""},
                                                   {"ou", ""},
                                                   {"ism", ""},
                                                   {"ate", ""},
                                                   {"iti", ""},
                                                   {"ous", ""},
                                                   {"ive", ""},
                                                   {"ize", ""}}};
  if (EndsWith(word, "ion")) {
    const std::string stem = Chop(word, 3);
    return Measure(stem) > 1 && (stem.back() == 's' || stem.back() == 't') ? stem : word;
  }
  return ApplyFirst(word, kRules, 1);
}

std::string Step5(std::string word) {
  if (EndsWith(word, "e")) {
    const std::string stem = Chop(word, 1);
    const int m = Measure(stem);
    if (m > 1 || (m == 1 && !EndsConsonantVowelConsonant(stem))) word = stem;
  }
  if (EndsWith(word, "ll") && Measure(Chop(word, 1)) > 1) word.pop_back();
  return word;
}

}  // namespace

std::string PorterStem(string_view word) {
  for (const Irregular& irregular : kIrregular) {
    if (word == irregular.word) return std::string(irregular.stem);
  }
  if (word.size() <= 2) return std::string(word);
  return Step5(Step4(Step3(Step2(Step1c(Step1b(Step1a(std::string(word))))))));
}

}  // namespace mellow::eval
