"""A page that shows what is in a data set: what people look at before they believe it."""
