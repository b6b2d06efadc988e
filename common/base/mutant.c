/* One variable, and only in a build that asks for it: a build for use has neither the variable nor the comparisons. */
#include "common/base/mutant.h"

enum mutant mutant_now = MUTANT_NONE;
