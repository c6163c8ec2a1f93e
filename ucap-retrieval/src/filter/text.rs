//! The text form of a filter.
//!
//! ```text
//! filter     = all *( "or" all )
//! all        = one *( "and" one )
//! one        = "not" one / "(" filter ")" / condition
//! condition  = field ( "=" / "!=" / "<" / "<=" / ">" / ">=" ) value
//!            / field "in" "(" [ value *( "," value ) ] ")"
//!            / field "contains" value
//!            / "exists" "(" field ")"
//!            / "affects" "(" string "," string "," string ")"      ecosystem, package, version
//! value      = string / number / "true" / "false"
//! string     = "'" *( any character but "'" / "''" ) "'"
//! field      = a name / a name in double quotes (one that is `and`, `or` or `not`)
//! ```
//!
//! Words of the language are taken in any case. Read by recursive descent, so that each error says at which character it stands and the
//! depth is bounded before the stack is.

use ucap_core::{Error, Result};

use super::{Budget, Filter, Limits, Literal, Op, invalid};
use crate::schema::{excerpt, is_field_character, is_field_name};

pub(super) fn read(text: &str, limits: &Limits) -> Result<Filter> {
    if text.len() > limits.text {
        return Err(invalid(format!("the filter is longer than {} bytes", limits.text)));
    }
    let mut parser = Parser { text, end: 0, start: 0, token: Token::End, budget: Budget::new(limits) };
    parser.advance()?;
    let filter = parser.any(1)?;
    match parser.token {
        Token::End => Ok(filter),
        _ => Err(parser.expected("`and`, `or` or the end")),
    }
}

#[derive(Clone, PartialEq, Debug)]
enum Token {
    /// A name or a word of the language.
    Word(String),
    /// A name in double quotes.
    Name(String),
    Text(String),
    Number(Literal),
    Sign(&'static str),
    End,
}

struct Parser<'a> {
    text: &'a str,
    /// Where the current token begins and ends, in bytes.
    start: usize,
    end: usize,
    token: Token,
    budget: Budget,
}

/// The longest first, so that `>=` is not read as `>`.
const SIGNS: [&str; 9] = ["!=", "<=", ">=", "=", "<", ">", "(", ")", ","];

impl<'a> Parser<'a> {
    fn any(&mut self, depth: usize) -> Result<Filter> {
        self.chain("or", depth, |parser, depth| parser.all(depth)).map(Filter::any)
    }

    fn all(&mut self, depth: usize) -> Result<Filter> {
        self.chain("and", depth, |parser, depth| parser.one(depth)).map(Filter::all)
    }

    /// One part, or several with `word` between them.
    fn chain(&mut self, word: &str, depth: usize, part: fn(&mut Self, usize) -> Result<Filter>) -> Result<Vec<Filter>> {
        let mut parts = vec![part(self, depth)?];
        while self.is_word(word) {
            self.advance()?;
            parts.push(part(self, depth)?);
        }
        Ok(parts)
    }

    fn one(&mut self, depth: usize) -> Result<Filter> {
        self.budget.node(depth)?;
        if self.is_word("not") {
            self.advance()?;
            return Ok(Filter::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.token == Token::Sign("(") {
            self.advance()?;
            let inner = self.any(depth + 1)?;
            self.sign(")", "`and`, `or` or `)`")?;
            return Ok(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Filter> {
        let is_call = matches!(self.token, Token::Word(_))
            && self.text.get(self.end..).is_some_and(|rest| rest.trim_start().starts_with('('));
        if is_call && self.is_word("exists") {
            self.advance()?;
            self.sign("(", "`(`")?;
            let field = self.field()?;
            self.sign(")", "`)`")?;
            return Ok(Filter::Exists(field));
        }
        if is_call && self.is_word("affects") {
            return self.affects();
        }
        let field = self.field()?;
        let op = match &self.token {
            Token::Sign("=") => Op::Eq,
            Token::Sign("!=") => Op::Ne,
            Token::Sign("<") => Op::Lt,
            Token::Sign("<=") => Op::Lte,
            Token::Sign(">") => Op::Gt,
            Token::Sign(">=") => Op::Gte,
            _ if self.is_word("in") => return self.membership(field),
            _ if self.is_word("contains") => {
                self.advance()?;
                return Ok(Filter::Contains { field, value: self.value()? });
            }
            _ => return Err(self.expected("a comparison (`=`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `contains`)")),
        };
        self.advance()?;
        Ok(Filter::Compare { field, op, value: self.value()? })
    }

    fn membership(&mut self, field: String) -> Result<Filter> {
        self.advance()?;
        self.sign("(", "`(` and a list of values")?;
        let mut values = Vec::new();
        if self.token != Token::Sign(")") {
            values.push(self.value()?);
            while self.token == Token::Sign(",") {
                self.advance()?;
                values.push(self.value()?);
                self.budget.values(values.len())?;
            }
        }
        self.sign(")", "`,` or `)`")?;
        Ok(Filter::In { field, values })
    }

    fn affects(&mut self) -> Result<Filter> {
        self.advance()?;
        self.sign("(", "`(`")?;
        let ecosystem = self.string("an ecosystem in quotes, such as 'PyPI'")?;
        self.sign(",", "`,` and a package in quotes")?;
        let package = self.string("a package in quotes")?;
        self.sign(",", "`,` and a version in quotes")?;
        let version = self.string("a version in quotes")?;
        self.sign(")", "`)`")?;
        Ok(Filter::Affects { ecosystem, package, version })
    }

    fn field(&mut self) -> Result<String> {
        let is_reserved = ["and", "or", "not"].iter().any(|word| self.is_word(word));
        match &self.token {
            Token::Name(name) => self.take(name.clone()),
            Token::Word(name) if !is_reserved && is_field_name(name) => self.take(name.clone()),
            _ => Err(self.expected("a field")),
        }
    }

    fn value(&mut self) -> Result<Literal> {
        let literal = match &self.token {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Number(number) => number.clone(),
            _ if self.is_word("true") => Literal::Boolean(true),
            _ if self.is_word("false") => Literal::Boolean(false),
            _ => return Err(self.expected("a value: a 'string', a number, true or false")),
        };
        self.take(literal)
    }

    fn string(&mut self, what: &str) -> Result<String> {
        match &self.token {
            Token::Text(text) => self.take(text.clone()),
            _ => Err(self.expected(what)),
        }
    }

    fn sign(&mut self, sign: &str, what: &str) -> Result<()> {
        match self.token {
            Token::Sign(found) if found == sign => self.advance(),
            _ => Err(self.expected(what)),
        }
    }

    fn take<T>(&mut self, value: T) -> Result<T> {
        self.advance().map(|()| value)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// Reads the next token.
    fn advance(&mut self) -> Result<()> {
        let rest = self.rest(self.end);
        let trimmed = rest.trim_start();
        self.start = self.end + (rest.len() - trimmed.len());
        let (token, length) = match trimmed.chars().next() {
            None => (Token::End, 0),
            Some('\'') => self.quoted(trimmed, '\'').map(|(text, length)| (Token::Text(text), length))?,
            Some('"') => self.quoted(trimmed, '"').map(|(name, length)| (Token::Name(name), length))?,
            Some(c) if c == '-' || c.is_ascii_digit() => self.number(trimmed)?,
            Some(c) if c.is_alphabetic() || c == '_' => {
                let length = trimmed.find(|c| !is_field_character(c)).unwrap_or(trimmed.len());
                (Token::Word(trimmed.chars().take_while(|&c| is_field_character(c)).collect()), length)
            }
            Some(_) => match SIGNS.iter().find(|sign| trimmed.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => return Err(self.wrong(self.start, &format!("`{}` means nothing here", found(trimmed)))),
            },
        };
        self.token = token;
        self.end = self.start + length;
        Ok(())
    }

    /// The string in quotes at the beginning of `rest`, a doubled quote read as one, and how long it is written.
    fn quoted(&self, rest: &str, quote: char) -> Result<(String, usize)> {
        let mut text = String::new();
        let mut characters = rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = characters.next() {
            if c != quote {
                text.push(c);
            } else if characters.next_if(|&(_, next)| next == quote).is_some() {
                text.push(quote);
            } else {
                return Ok((text, at + 1));
            }
        }
        Err(self.wrong(self.start, &format!("the quote {quote} is not closed")))
    }

    fn number(&self, rest: &str) -> Result<(Token, usize)> {
        let length = rest
            .char_indices()
            .find(|&(at, c)| {
                let is_exponent_sign =
                    matches!(c, '+' | '-') && (at == 0 || rest.get(..at).is_some_and(|r| r.ends_with(['e', 'E'])));
                !(c.is_alphanumeric() || c == '.' || is_exponent_sign)
            })
            .map_or(rest.len(), |(at, _)| at);
        // As JSON, so that a number means the same in both forms.
        let number = rest.get(..length).and_then(|number| serde_json::from_str::<serde_json::Number>(number).ok());
        match number.as_ref().and_then(Literal::from_number) {
            Some(literal) => Ok((Token::Number(literal), length)),
            None => Err(self.wrong(self.start, &format!("`{}` is no number", found(rest)))),
        }
    }

    fn rest(&self, at: usize) -> &'a str {
        self.text.get(at..).unwrap_or_default()
    }

    fn expected(&self, what: &str) -> Error {
        match self.token {
            Token::End => self.wrong(self.start, &format!("expected {what}, and here it ends")),
            _ => self.wrong(self.start, &format!("expected {what}, found `{}`", found(self.rest(self.start)))),
        }
    }

    fn wrong(&self, at: usize, message: &str) -> Error {
        let character = self.text.get(..at).map_or(0, |before| before.chars().count()) + 1;
        invalid(format!("the filter is wrong at character {character}: {message}"))
    }
}

/// What stands at the beginning of a text, for a message.
fn found(rest: &str) -> String {
    let first_is_word = rest.starts_with(is_field_character);
    let end = rest.find(|c: char| c.is_whitespace() || is_field_character(c) != first_is_word).unwrap_or(rest.len());
    excerpt(rest.get(..end).unwrap_or_default())
}
