#include "file.h"
void file_dispose(struct file *f) { (void)f; }
