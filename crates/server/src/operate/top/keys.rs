//! What keys do at `headworks top`: where one is in the table, and what is typed.

use std::ops::ControlFlow;

use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::widgets::TableState;

use super::picture::{Picture, View};

/// The line at the bottom.
pub(super) const HELP: &str =
    "Tab 1-4 view · ↑↓ move · Enter targets · ←→ sort by · r reverse · / filter · Esc back · q quit";
/// Lines of a page.
const PAGE: u16 = 20;

/// Where one is.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) table: TableState,
    /// Whether letters go to the filter.
    pub(super) is_typing: bool,
}

impl Keys {
    /// Does what a key says; breaks when that is to end.
    pub(super) fn take(&mut self, event: &Event, picture: &mut Picture) -> ControlFlow<()> {
        let Event::Key(key) = event else { return ControlFlow::Continue(()) };
        if key.kind == KeyEventKind::Release {
            return ControlFlow::Continue(());
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return ControlFlow::Break(()),
            code if self.is_typing => self.typed(code, picture),
            KeyCode::Char('q') => return ControlFlow::Break(()),
            code => self.pressed(code, picture),
        }
        ControlFlow::Continue(())
    }

    fn typed(&mut self, code: KeyCode, picture: &mut Picture) {
        match code {
            KeyCode::Char(letter) => picture.filter.push(letter),
            KeyCode::Backspace => drop(picture.filter.pop()),
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                picture.filter.clear();
                self.is_typing = false;
            }
            _ => {}
        }
        self.table.select(None);
    }

    fn pressed(&mut self, code: KeyCode, picture: &mut Picture) {
        let columns = picture.view.columns().len();
        match code {
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('r') => picture.is_reversed = !picture.is_reversed,
            KeyCode::Right | KeyCode::Char('>' | 'l') => picture.sort = (picture.sort + 1) % columns,
            KeyCode::Left | KeyCode::Char('<' | 'h') => picture.sort = (picture.sort + columns - 1) % columns,
            KeyCode::Down | KeyCode::Char('j') => self.table.select_next(),
            KeyCode::Up | KeyCode::Char('k') => self.table.select_previous(),
            KeyCode::PageDown => self.table.scroll_down_by(PAGE),
            KeyCode::PageUp => self.table.scroll_up_by(PAGE),
            KeyCode::Home => self.table.select_first(),
            KeyCode::End => self.table.select_last(),
            KeyCode::Tab => self.turn(picture, 1),
            KeyCode::BackTab => self.turn(picture, 3),
            KeyCode::Char(digit @ '1'..='4') => {
                let chosen = usize::try_from(u32::from(digit) - u32::from('1')).unwrap_or(0);
                View::ALL.get(chosen).into_iter().for_each(|view| self.look_at(*view, picture));
            }
            KeyCode::Enter if picture.view == View::Groups => self.enter(picture),
            KeyCode::Esc | KeyCode::Backspace if !picture.filter.is_empty() => picture.filter.clear(),
            KeyCode::Esc | KeyCode::Backspace if picture.view == View::Targets => self.look_at(View::Groups, picture),
            _ => {}
        }
    }

    fn turn(&mut self, picture: &mut Picture, by: usize) {
        let now = View::ALL.iter().position(|view| *view == picture.view).unwrap_or(0);
        let next = View::ALL.get((now + by) % View::ALL.len());
        next.into_iter().for_each(|view| self.look_at(*view, picture));
    }

    /// The targets of the group that one is at.
    fn enter(&mut self, picture: &mut Picture) {
        let rows = picture.rows();
        if let Some(row) = rows.get(self.table.selected().unwrap_or(0)) {
            picture.group = Some(row.name.clone());
            picture.filter.clear();
            self.look_at(View::Targets, picture);
        }
    }

    fn look_at(&mut self, view: View, picture: &mut Picture) {
        // without a group there are no targets to look at: those of the first are
        if view == View::Targets && picture.group.is_none() {
            picture.look_at(View::Groups);
            picture.group = picture.rows().first().map(|row| row.name.clone());
        }
        picture.look_at(view);
        self.table = TableState::default();
    }
}
