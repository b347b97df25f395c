//! Pictures as SVG text: smiles, heat maps, liquidation surfaces, methods side by side, and policies
//! over time.
//!
//! The one idea: a picture is a pure function of the numbers in it, written with a fixed number of decimals, so the
//! same answer always gives the same file. Pictures carry their own background and need no font, script or style from
//! outside. This module must never know how a number was found.

mod books;
mod canvas;
mod causes;
mod compare;
mod course;
mod frontier;
mod growth;
mod heat;
mod liquidation;
mod margins;
mod smile;

pub(crate) use books::{BooksPanel, books};
pub(crate) use canvas::escape;
pub(crate) use causes::{CausePicture, causes};
pub(crate) use compare::{ComparePicture, CompareRow, RatioBox, comparison};
pub(crate) use course::{CourseLine, CoursePicture, course};
pub(crate) use frontier::{FrontierPanel, FrontierPoint, FrontierSide, frontier};
pub(crate) use growth::{GrowthLine, GrowthPanel, growth};
pub(crate) use heat::{HeatPicture, heat_map};
pub(crate) use liquidation::{Boundary, BoundaryPoint, LiquidationPicture, MarkedPoint, liquidation};
pub(crate) use margins::{MarginPicture, margins};
pub(crate) use smile::{SmilePanel, SmilePicture, SmilePoint, smiles};
