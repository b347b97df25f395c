//! stage
/// Lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// 64-bit sums.
    Narrow,
    /// 128-bit sums.
    Wide,
}
/// State.
#[derive(Clone, Debug)]
pub struct AccountState {}
