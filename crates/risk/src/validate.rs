//! What a specification must satisfy before anything is generated from it.
