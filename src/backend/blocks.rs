//! MariaDB's and MySQL's blocks of statements, as in the bodies of triggers and routines.

use super::tokens::{Text, Token};

/// What a block was opened by; each has an END of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Begin,
    If,
    /// A statement, with statements behind its THEN and ELSE.
    Case,
    /// An expression.
    Choice,
    Loop,
    While,
    For,
    Repeat,
}

impl Block {
    fn opened_by(token: &Token<'_>) -> Option<Self> {
        const WORDS: [(&str, Block); 7] = [
            ("BEGIN", Block::Begin),
            ("IF", Block::If),
            ("CASE", Block::Case),
            ("LOOP", Block::Loop),
            ("WHILE", Block::While),
            ("FOR", Block::For),
            ("REPEAT", Block::Repeat),
        ];
        WORDS.into_iter().find(|(word, _)| token.is(word)).map(|(_, block)| block)
    }

    /// Whether `END` with the word of this block, if there is one, closes it. Oracle's WHILE and FOR end with END LOOP.
    fn is_closed_by(self, end: Option<Block>) -> bool {
        match self {
            Self::Begin => end.is_none(),
            Self::Choice => false,
            Self::While | Self::For => end == Some(Self::Loop) || end == Some(self),
            Self::If | Self::Case | Self::Loop | Self::Repeat => end == Some(self),
        }
    }
}

/// First words of statements that are no blocks.
const STATEMENTS: [&str; 15] = [
    "SET", "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "CALL", "RETURN", "WITH", "VALUES", "EXECUTE", "PREPARE",
    "TRUNCATE", "SIGNAL", "START",
];

/// Reads a statement's tokens up to the semicolon that ends it.
struct Reader<'t> {
    tokens: &'t [Token<'t>],
    open: Vec<Block>,
    /// A statement may begin at this token.
    starts: bool,
    /// It stands in the declaration of a handler, whose statement follows without a sign.
    handler: bool,
}

/// Which token is the semicolon that ends the block or statement at `at`, or the number of tokens; `None` when that cannot
/// be told.
pub(super) fn end_of_block(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let mut reader = Reader { tokens, open: Vec::new(), starts: true, handler: false };
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        if token.is(";") && reader.open.is_empty() {
            return Some(at);
        }
        at = reader.read(at)?;
    }
    reader.open.is_empty().then_some(at)
}

impl Reader<'_> {
    /// Gives the place of the next token to read.
    fn read(&mut self, at: usize) -> Option<usize> {
        let token = &self.tokens[at];
        let before = |back: usize, word: &str| at.checked_sub(back).is_some_and(|before| self.tokens[before].is(word));
        let (top, starts) = (self.open.last().copied(), self.starts);
        let in_loop = matches!(top, Some(Block::While | Block::For));
        self.starts = match () {
            () if token.is(";") && top == Some(Block::Choice) => return None,
            () if token.is(";") => true,
            () if token.is(":") => at > 0 && self.is_label(at - 1),
            () if before(1, ".") => false,
            () if token.is("END") => return self.end(at, starts),
            () if token.is("ATOMIC") => before(1, "NOT") && before(2, "BEGIN"),
            () if token.is("THEN") || token.is("ELSE") => top != Some(Block::Choice),
            () if !starts && in_loop && (token.is("DO") || token.is("LOOP")) => true,
            () if token.is("HANDLER") => {
                self.handler = true;
                false
            }
            () => self.open(at, starts),
        };
        self.handler &= !token.is(";") && !STATEMENTS.into_iter().any(|word| token.is(word));
        Some(at + 1)
    }

    /// Whether what stands at `at`, before a colon, is where a statement begins.
    fn is_label(&self, at: usize) -> bool {
        const BEFORE: [&str; 8] = [";", "BEGIN", "THEN", "ELSE", "DO", "LOOP", "REPEAT", "ROW"];
        let Some(before) = at.checked_sub(1) else { return true };
        BEFORE.into_iter().any(|word| self.tokens[before].is(word)) || self.open.is_empty()
    }

    /// Opens the block that the token begins, if it does; whether a statement may come next.
    fn open(&mut self, at: usize, starts: bool) -> bool {
        let Some(block) = Block::opened_by(&self.tokens[at]) else { return false };
        let of_handler = self.handler && !(at > 0 && self.tokens[at - 1].is("HANDLER"));
        if starts || of_handler {
            self.handler = false;
            self.open.push(block);
            return matches!(block, Block::Begin | Block::Loop | Block::Repeat);
        }
        if block == Block::Case {
            self.open.push(Block::Choice);
        }
        false
    }

    fn end(&mut self, at: usize, starts: bool) -> Option<usize> {
        self.starts = false;
        let named = self.tokens.get(at + 1).and_then(Block::opened_by).filter(|block| *block != Block::Begin);
        let top = self.open.last().copied();
        if !starts && top == Some(Block::Choice) {
            self.open.pop();
            return Some(at + 1);
        }
        // The END of REPEAT stands behind a condition. Any other there is a name.
        if !starts && (top, named) != (Some(Block::Repeat), Some(Block::Repeat)) {
            return Some(at + 1);
        }
        if !top?.is_closed_by(named) {
            return None;
        }
        self.open.pop();
        Some(at + 1 + usize::from(named.is_some()))
    }
}

/// Where the body of a trigger, routine or event begins whose kind stands at `kind`; for one without a body, the end of
/// the statement. `None` when that cannot be told, as in Oracle's way of writing.
pub(super) fn start_of_body(text: Text<'_>, kind: usize) -> Option<usize> {
    let tokens = text.tokens;
    let end = (kind..tokens.len()).find(|at| tokens[*at].is(";")).unwrap_or(tokens.len());
    if tokens[kind].is("TRIGGER") {
        let row = (kind..end).find(|at| tokens[*at].is("ROW") && tokens[at - 1].is("EACH"));
        let Some(start) = row.map(|row| row + 1) else { return Some(end) };
        let ordered = tokens.get(start).is_some_and(|token| token.is("FOLLOWS") || token.is("PRECEDES"));
        return Some(if ordered { start + 2 } else { start });
    }
    if tokens[kind].is("EVENT") {
        return Some((kind..end).find(|at| tokens[*at].is("DO")).map_or(end, |at| at + 1));
    }
    if !(tokens[kind].is("PROCEDURE") || tokens[kind].is("FUNCTION")) {
        return None;
    }
    let Some(open) = (kind..end).find(|at| tokens[*at].is("(")) else {
        let oracle = (kind..end).any(|at| tokens[at].is("AS") || tokens[at].is("IS"));
        return if oracle { None } else { Some(end) };
    };
    let parameters = text.closing(open)?;
    behind_characteristics(text, parameters + 1)
}

/// Where the body of a routine begins, behind the type of its answer and what else is said of it.
fn behind_characteristics(text: Text<'_>, mut at: usize) -> Option<usize> {
    while let Some(token) = text.tokens.get(at) {
        let before = &text.tokens[at - 1];
        // Not RETURNS SET('a', 'b') and CHARACTER SET utf8mb4.
        let of_type = ["RETURNS", "CHARACTER", "CHAR"].into_iter().any(|word| before.is(word));
        if token.is("AS") || token.is("IS") {
            return None;
        }
        let labelled = text.tokens.get(at + 1).is_some_and(|next| next.is(":"));
        let begins = STATEMENTS.into_iter().any(|word| token.is(word)) || Block::opened_by(token).is_some();
        if token.is(";") || labelled || begins && !of_type {
            return Some(at);
        }
        at = text.closing(at).unwrap_or(at) + 1;
    }
    Some(at)
}
