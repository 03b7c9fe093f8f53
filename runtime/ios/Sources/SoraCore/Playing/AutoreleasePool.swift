#if canImport(ObjectiveC)
    import ObjectiveC
#else
    /// Where there is no Objective-C, nothing waits in a pool to be released.
    func autoreleasepool<Result>(invoking body: () throws -> Result) rethrows -> Result { try body() }
#endif
