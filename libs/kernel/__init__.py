"""Pure building blocks: identifiers, clock, time windows, errors. Standard library only."""
