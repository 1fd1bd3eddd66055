//! The statements in what a client sends, and its goodbye, read from its bytes.

/// Which protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Postgres,
    MySql,
}

/// What one message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Statement,
    Goodbye,
    Other,
}

/// Counts the statements that one client sends, however its bytes are cut. What is encrypted cannot be read.
pub(crate) struct Reader {
    protocol: Protocol,
    /// Bytes of a message whose head has not come yet as a whole.
    head: Vec<u8>,
    /// Bytes of the body that are still to come.
    skip: usize,
    /// PostgreSQL: messages have a type from now on.
    started: bool,
    /// The client has said that it goes.
    pub(crate) said_goodbye: bool,
}

impl Reader {
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { protocol, head: Vec::new(), skip: 0, started: false, said_goodbye: false }
    }

    /// How many statements begin in these bytes, which follow on those of the last call.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> u64 {
        let mut statements = 0;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            bytes = &bytes[skipped..];
            self.skip -= skipped;
            if self.skip > 0 {
                break;
            }
            let Some((byte, rest)) = bytes.split_first() else { break };
            self.head.push(*byte);
            bytes = rest;
            let message = self.message();
            statements += u64::from(message == Some(Message::Statement));
            self.said_goodbye |= message == Some(Message::Goodbye);
        }
        statements
    }

    /// Looks at the head, once it is whole.
    fn message(&mut self) -> Option<Message> {
        match (self.protocol, &self.head[..]) {
            // A request for encryption, which is declined, or the start.
            (Protocol::Postgres, [length @ .., a, b, c, d]) if !self.started && length.len() == 4 => {
                let code = u32::from_be_bytes([*a, *b, *c, *d]);
                self.started = code == 196_608;
                let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
                self.expect(length as usize - 8);
                Some(Message::Other)
            }
            (Protocol::Postgres, [kind, a, b, c, d]) if self.started => {
                let (kind, length) = (*kind, u32::from_be_bytes([*a, *b, *c, *d]));
                self.expect(length as usize - 4);
                Some(match kind {
                    // Query and Execute.
                    b'Q' | b'E' => Message::Statement,
                    b'X' => Message::Goodbye,
                    _ => Message::Other,
                })
            }
            (Protocol::MySql, [a, b, c, number, command]) => {
                let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
                // Anything but the first packet of a command goes on with something.
                let message = match (*number, *command) {
                    (0, 0x03 | 0x17) => Message::Statement,
                    (0, 0x01) if length == 1 => Message::Goodbye,
                    _ => Message::Other,
                };
                self.expect(length.saturating_sub(1));
                Some(message)
            }
            _ => None,
        }
    }

    fn expect(&mut self, length: usize) {
        self.head.clear();
        self.skip = length;
    }
}
