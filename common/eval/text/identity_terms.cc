#include "common/eval/text/identity_terms.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/eval/text/text_shape.h"

namespace mellow::eval {

absl::Span<const IdentityGroup> IdentityGroups() {
  // Colors alone are not in the list ("a black coat").
  static const auto* const groups = new std::vector<IdentityGroup>{
      {"women", {"woman", "women", "girl", "girls", "lady", "ladies", "female", "females"}},
      {"men", {"man", "men", "boy", "boys", "gentleman", "gentlemen", "male", "males"}},
      {"lgbtq",
       {"gay", "gays", "lesbian", "lesbians", "bisexual", "bisexuals", "queer", "lgbt", "lgbtq",
        "homosexual", "homosexuals", "same sex couple"}},
      {"transgender", {"transgender", "trans", "trans man", "trans woman", "nonbinary"}},
      {"muslims", {"muslim", "muslims", "islam", "islamic"}},
      {"jews", {"jew", "jews", "jewish", "judaism"}},
      {"christians",
       {"christian", "christians", "catholic", "catholics", "protestant", "protestants",
        "christianity"}},
      {"hindus", {"hindu", "hindus", "hinduism"}},
      {"buddhists", {"buddhist", "buddhists", "buddhism"}},
      {"sikhs", {"sikh", "sikhs", "sikhism"}},
      {"atheists", {"atheist", "atheists", "atheism"}},
      {"black people",
       {"black people", "black person", "black man", "black men", "black woman", "black women",
        "african american", "african americans"}},
      {"white people",
       {"white people", "white person", "white man", "white men", "white woman", "white women",
        "caucasian", "caucasians"}},
      {"asians",
       {"asian", "asians", "chinese", "japanese", "korean", "koreans", "vietnamese", "indian",
        "indians", "pakistani", "pakistanis", "filipino", "filipinos"}},
      {"africans", {"african", "africans", "nigerian", "nigerians", "somali", "somalis"}},
      {"arabs", {"arab", "arabs", "arabic"}},
      {"latinos",
       {"latino", "latinos", "latina", "latinas", "hispanic", "hispanics", "mexican", "mexicans"}},
      {"indigenous people", {"indigenous", "native american", "native americans", "aboriginal"}},
      {"roma", {"roma", "romani", "sinti"}},
      {"immigrants",
       {"immigrant", "immigrants", "migrant", "migrants", "refugee", "refugees", "foreigner",
        "foreigners", "asylum seeker", "asylum seekers"}},
      {"disabled people",
       {"disabled", "disability", "disabilities", "wheelchair", "deaf", "blind man", "blind woman",
        "blind people", "autistic", "autism"}},
      {"old people",
       {"elderly", "old people", "old man", "old woman", "senior citizen", "senior citizens",
        "pensioner", "pensioners"}},
      {"young people", {"teenager", "teenagers", "young people", "young man", "young woman"}},
      {"poor people", {"homeless", "poor people", "unemployed"}},
  };
  return *groups;
}

std::vector<std::string> FindIdentities(absl::string_view text) {
  const std::string words = absl::StrCat(" ", absl::StrJoin(Words(text), " "), " ");
  std::vector<std::string> found;
  for (const IdentityGroup& group : IdentityGroups()) {
    for (const char* term : group.terms) {
      if (!absl::StrContains(words, absl::StrCat(" ", term, " "))) continue;
      found.emplace_back(group.name);
      break;
    }
  }
  return found;
}

}  // namespace mellow::eval
