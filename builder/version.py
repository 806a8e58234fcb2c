"""The version, a constant: asking the installed package's metadata costs a start 25 ms."""

VERSION = "0.1.0"
