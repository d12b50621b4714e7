"""Files of rows decided as a whole: read lazily, recorded one by one, resumed, written in order."""
