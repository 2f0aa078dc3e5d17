#ifndef MELLOW_COMMON_NN_ROBERTA_LABELS_H_
#define MELLOW_COMMON_NN_ROBERTA_LABELS_H_

#include "common/json/fields.h"
#include "common/nn/roberta_config.h"

namespace mellow::nn {

// Takes id2label, num_labels and problem_type as transformers reads them: id2label wins over
// num_labels; without it the labels are LABEL_0...; label2id decides nothing. Rejects ids other
// than 0, 1, 2... (in any order), names that are neither text nor whole numbers, and an unknown
// problem_type.
void ReadLabels(json::FieldReader* fields, RobertaConfig* config);

}  // namespace mellow::nn

#endif  // MELLOW_COMMON_NN_ROBERTA_LABELS_H_
