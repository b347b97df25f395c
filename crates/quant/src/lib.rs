//! plimsoll-quant
