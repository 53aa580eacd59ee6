//! What takes a minute or more by itself. Tests are begun in the order of their names, so it is begun first, and is not left
//! to run alone at the end.

mod upgrade;
