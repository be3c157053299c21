"""What citizens say about final answers: thanks, «не решено», a mark, or silence."""
