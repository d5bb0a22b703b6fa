// Here so that the compiler takes a function without a body (nanotime).
