//! References in payloads: `$name`, `${any name}`, and `$$` for a dollar sign. One pass; a value
//! is never expanded again; a string that is nothing but one reference keeps the value's type.
