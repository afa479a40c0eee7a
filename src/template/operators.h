// Arithmetic and comparison of values, with Python's meaning.
#pragma once

#include "template/ast.h"
#include "template/value.h"

namespace quire::jinja {

// All throw Error{kInvalidArgument} for operands that do not go together.
Value apply(BinaryOp op, const Value& a, const Value& b, Budget& budget);
bool compare(CompareOp op, const Value& a, const Value& b, Budget& budget);
bool contains(const Value& container, const Value& value, Budget& budget);
Value negated(const Value& number);

}  // namespace quire::jinja
