"""What the network holds beside what is stored: gaps found and filled, history fetched."""
