"""Citizens' feedback on final answers: thanks, «не решено», a mark, or silence."""
