//! Bounded parameter updates, as Aave's risk stewards make them.
